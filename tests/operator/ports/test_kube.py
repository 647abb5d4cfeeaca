"""ports/kube: whatever an API server, or what stands before it, answers is one of the port's errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rejoinder.core.errors import Aborted, ClaimTaken, InvalidArgument, NotFound, PermissionDenied, Unavailable
from rejoinder_operator.ports.cluster import Expired
from rejoinder_operator.ports.kube import KubeCluster, open_client


class Server(BaseHTTPRequestHandler):
    """Answers as told. promised: the length it says."""

    status, body, promised = 200, b"", 0

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(self.promised or len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    class Told(Server):
        """One test's."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Told)
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield Told, f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    thread.join()
    made.server_close()


def opened(url: str, folder: Path) -> KubeCluster:
    file = folder / "kubeconfig"
    file.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n"
        "users: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
    )
    return KubeCluster(open_client(file))


@pytest.mark.parametrize(
    ("status", "body", "promised", "error"),
    [
        (404, b'{"reason": "NotFound"}', 0, NotFound),
        (409, b'{"reason": "AlreadyExists"}', 0, ClaimTaken),
        (409, b'{"reason": "Conflict"}', 0, Aborted),
        (410, b'{"reason": "Expired"}', 0, Expired),
        (401, b"", 0, PermissionDenied),
        (403, b"<html>", 0, PermissionDenied),
        (422, b"[]", 0, InvalidArgument),
        (429, b"", 0, Unavailable),
        (502, b"<html>bad gateway", 0, Unavailable),
        (500, b"{", 4_000, Unavailable),
        (200, b"<html>log in first", 0, Unavailable),
        (200, b'{"items": [', 4_000, Unavailable),
    ],
)
def test_an_answer_is_an_error_of_the_port(
    server: tuple[type[Server], str], tmp_path: Path, status: int, body: bytes, promised: int, error: type[Exception]
) -> None:
    told, url = server
    told.status, told.body, told.promised = status, body, promised
    with pytest.raises(error) as raised:
        opened(url, tmp_path).get("Job", "team", "j")
    assert "<html>" not in str(raised.value)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (b'{"type": "ERROR", "object": {"code": 410}}\n', Expired),
        (b'{"type": "ERROR", "object": {"code": 500}}\n', Unavailable),
        (b"<html>\n", Unavailable),
    ],
)
def test_a_watch_that_ends_in_an_error(
    server: tuple[type[Server], str], tmp_path: Path, lines: bytes, error: type[Exception]
) -> None:
    told, url = server
    told.body = b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}\n' + lines
    watch = opened(url, tmp_path).watch("Job", "team", "1")
    assert next(watch)[0] == "ADDED"
    with pytest.raises(error):
        next(watch)
