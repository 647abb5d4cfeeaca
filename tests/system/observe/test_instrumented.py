"""Applications under OpenTelemetry's own SDK, exporter and instrumentations (`.venvs/otel`), before a real observer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rejoinder.cli.supervisor import free_ports
from rejoinder.core.ids import answer_digest
from rejoinder.core.types import FollowUp, Role

from loadtests.processes import python_of
from tests.chaos.harness import Process
from tests.system.gateway.upstream import Upstream, serving
from tests.system.observe.world import Ingest

pytestmark = pytest.mark.system

PROGRAMS = Path(__file__).parent / "traced"
PRINCIPALS = "- {principal: shop, token: app-token, roles: [app], tenants: [acme]}\n"
EXPORTER = {
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20app-token",
    "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    # One batch, at the end: a program that starts slowly would make two.
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}
#: Whose application → the city that is talked about, and who writes the spans: "" is the application itself.
USERS = {
    "ann": ("Bern", "opentelemetry.instrumentation.genai.openai"),
    "bob": ("Basel", "openinference.instrumentation.openai"),
    "eve": ("Chur", "opentelemetry.instrumentation.openai"),
    "odo": ("Zug", ""),
}


@dataclass
class Forgetful:
    """A way to the observer that loses the first answer of each sender: it took the spans and says 503. owns: what
    came, by sender and body."""

    behind: str
    url: str = ""
    came: dict[str, Counter[bytes]] = field(default_factory=dict)

    @contextmanager
    def serving(self) -> Iterator[Forgetful]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                _, sender, path = self.path.split("/", 2)
                body = self.rfile.read(int(self.headers["content-length"]))
                request = urllib.request.Request(f"{outer.behind}/{path}", body, dict(self.headers))
                with urllib.request.urlopen(request) as told:
                    status, answer, media = told.status, told.read(), told.headers["content-type"]
                first = sender not in outer.came
                outer.came.setdefault(sender, Counter())[body] += 1
                self.send_response(503 if first else status)
                self.send_header("content-type", media)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *said: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def ingest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """With what all four applications said in its log."""
    folder = tmp_path_factory.mktemp("instrumented")
    made, port = Ingest(folder), free_ports(1)[0]
    (folder / "principals.yaml").write_text(PRINCIPALS)
    given = {
        "HTTP__PORT": str(port),
        "INTO__FEEDBACK": made.address,
        "SERVER__AUTH__FILE": str(folder / "principals.yaml"),
    }
    observer = Process([sys.executable, "-m", "rejoinder.observe"], folder, "observe", given)
    try:
        observer.start()
        with serving(Upstream()) as upstream, Forgetful(f"http://127.0.0.1:{port}").serving() as way:
            wanted = [":".join((user, *of)) for user, of in USERS.items()]
            ran = run("start.py", way.url, upstream.url, *wanted, **EXPORTER)
        assert ran.returncode == 0, ran.stderr
        came = {user: list(bodies.values()) for user, bodies in way.came.items()}
        assert came == {user: [2] for user in USERS}, f"one batch of each, and once more; {ran.stderr}"
        assert "Bern" not in observer.log_path.read_text()
        yield made
    finally:
        observer.close()
        made.process.close()


def run(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(python_of("otel")), str(PROGRAMS / program), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "services"), **environment}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("user", USERS)
def test_finished_turns_are_in_the_log_once_with_what_their_user_said_to_them(ingest: Ingest, user: str) -> None:
    """Every export came twice: the first answer was lost, and the exporter tried again."""
    city, instrumentation = USERS[user]
    answers = [i for i in ingest.events("interactions", "acme") if city in i.messages[1].content]
    first, second = sorted(answers, key=lambda i: i.occurred_at)
    asked = [Role.SYSTEM, Role.USER]
    assert [m.role for m in first.messages] == ([*asked, Role.ASSISTANT, Role.TOOL] if instrumentation else asked)
    assert [m.role for m in second.messages[-2:]] == [Role.ASSISTANT, Role.USER]
    assert all(city in i.response for i in answers)
    assert first.messages[0].content == "Be brief."
    (said,) = [f for f in ingest.events("feedback", "acme") if f.kind == FollowUp(f"And {city} by night?")]
    assert said.answer_digest == answer_digest(first.response)
    assert {i.principal for i in answers} == {said.principal} == {"shop"}
    # OpenTelemetry's own writes down no user: its application says who it is, or all are the caller's.
    whose = "" if ".genai." in instrumentation else user
    assert {i.user_id for i in answers} == {said.user_id} == {whose}


def test_a_span_of_ours_stays_in_its_callers_trace_and_holds_nobodys_words() -> None:
    done = run("ours.py", "walrus-in-the-fjord")
    assert done.returncode == 0, done.stderr
    handed_on, told = done.stdout.splitlines()
    span = json.loads(told)
    assert span["name"] == "/rejoinder.v1.FeedbackService/Record"
    assert span["parent_id"] == "0xb7ad6b7169203331"
    assert handed_on.split("-")[1:3] == [span["context"]["trace_id"][2:], span["context"]["span_id"][2:]]
    assert "walrus" not in told
