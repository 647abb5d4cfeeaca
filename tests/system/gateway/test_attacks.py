"""Every attack of the table gets its refusal, the gateway goes on, and no user's word is left in a log or a metric."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.chaos.harness import wait_until
from tests.system.gateway.attacks import (
    APP,
    BODY_BYTES,
    HASTY,
    PRINCIPALS,
    WORDS,
    chat,
    page,
    request,
    said,
    table,
    token,
)
from tests.system.gateway.upstream import Upstream
from tests.system.gateway.world import World

pytestmark = pytest.mark.system

#: What the gateway gives whoever is slow: more than a machine that is held up takes for what comes at once.
PATIENCE_S = 8


@pytest.fixture(scope="module")
def guarded(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "principals.yaml").write_text(PRINCIPALS)
    settings = {
        "SERVER__AUTH__FILE": str(folder / "principals.yaml"),
        "SERVER__METRICS_PORT": "0",
        "SERVER__MAX_MESSAGE_BYTES": str(BODY_BYTES),
        **{f"HTTP__{what}_S": str(PATIENCE_S) for what in ("HEAD", "BODY", "STALL")},
        # One call of an admin's; everybody else is let through.
        "SERVER__RATE__PRINCIPAL_PER_S": "0.0001",
        "SERVER__RATE__EXEMPT_ROLES": '["app", "auditor"]',
        "BROWSER__ORIGINS": '["https://chat.example"]',
    }
    made = World(folder, upstream, settings)
    try:
        yield made.start()
    finally:
        made.close()


def connected(world: World) -> socket.socket:
    port = int(world.url.removesuffix("/v1").rsplit(":", 1)[1])
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answer_on(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body); status 0 where the connection ends instead."""
    response = http.client.HTTPResponse(connection)
    try:
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    except (http.client.BadStatusLine, ConnectionResetError):
        return 0, {}, b""


def sent(world: World, data: bytes) -> tuple[int, dict[str, str], bytes]:
    with connected(world) as connection:
        connection.sendall(data)
        return answer_on(connection)


def dribbles(connection: socket.socket) -> int:
    """How many bytes it takes, one each tenth of a second, until the other side has closed."""
    connection.settimeout(0.1)
    for count in range(40 * PATIENCE_S):
        try:
            connection.sendall(b"x")
            if not connection.recv(1):
                return count
        except TimeoutError:
            continue
        except OSError:
            return count
    return 40 * PATIENCE_S


def code_of(body: bytes) -> str:
    try:
        value = json.loads(body)
    except ValueError:
        return ""
    if "results" in value:
        return "/".join([value["results"][0]["outcome"], value["results"][0].get("reason", "")])
    error = value["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert WORDS not in error["message"]
    return str(error["code"])


def test_every_attack_is_refused_and_nothing_of_it_is_left(guarded: World) -> None:
    attacks = table(guarded.folder, time.time())
    assert len(attacks) >= 50
    assert len({attack.name for attack in attacks}) == len(attacks)
    before = len(guarded.upstream.asked)
    assert sent(guarded, request("GET", "/v1/models", HASTY))[0] == 200, "its first call, all that it may"
    wrong = []
    for attack in attacks:
        status, headers, body = sent(guarded, attack.data)
        got = (status, code_of(body) if attack.code else "")
        if got != (attack.status, attack.code):
            wrong.append(f"{attack.name}: {got}, not {(attack.status, attack.code)}")
        if attack.code and (headers.get("x-content-type-options"), headers.get("cache-control")) != (
            "nosniff",
            "no-store",
        ):
            wrong.append(f"{attack.name}: lacks its security headers")
    assert not wrong, "\n".join(wrong)
    assert len(guarded.upstream.asked) == before, "something of it reached the server behind the gateway"
    assert guarded.feedbacks() == []
    status, _, body = sent(guarded, chat())
    assert (status, WORDS in body.decode()) == (200, True), "the control: whoever may ask is answered"
    wait_until(lambda: len(guarded.interactions()) == 1, "its record")
    assert guarded.interactions()[0].tenant == "acme"


def test_whoever_is_slow_is_let_go(guarded: World) -> None:
    """All at once: they take as long as the gateway's patience."""
    with (
        connected(guarded) as head,
        connected(guarded) as body,
        connected(guarded) as idle,
        connected(guarded) as answered,
        connected(guarded) as reader,
    ):
        reader.sendall(chat(said(messages=[{"role": "user", "content": "flood"}], stream=True)))
        wait_until(lambda: guarded.metric("rpc_in_flight") == 1, "the answer")
        answered.sendall(request("GET", "/healthz", {"content-length": "100000"}, b"x", length=False))
        assert answer_on(answered)[0] == 200
        answered.sendall(b"x")
        head.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\nx-a: ")
        body.sendall(
            request("POST", "/v1/chat/completions", {**APP, "content-length": "500"}, b'{"model"', length=False)
        )
        assert answer_on(head)[0] == 0
        status, headers, text = answer_on(body)
        assert (status, code_of(text), headers["connection"]) == (408, "request_timeout", "close")
        assert answer_on(idle)[0] == 0
        assert dribbles(answered) < 20 * PATIENCE_S, "what comes behind its answer keeps a connection open"
        wait_until(lambda: guarded.metric("rpc_in_flight") == 0, "the end of an answer that nobody reads")


def test_a_beacon_that_comes_again_counts_once(guarded: World) -> None:
    mine = token(guarded.folder, time.time())
    before = len(guarded.feedbacks())
    rating = {"event_id": "click-1", "rating": {"number": 1, "scale_max": 1}}
    assert code_of(sent(guarded, page([mine], rating))[2]) == "RECORDED/"
    assert code_of(sent(guarded, page([mine], rating))[2]) == "DUPLICATE/"
    other = {**rating, "rating": {"number": 0, "scale_max": 1}}
    assert code_of(sent(guarded, page([mine], other))[2]) == "REJECTED/EVENT_ID_CONFLICT"
    # Another conversation's page has names of its own: it can take nobody's.
    elsewhere = token(guarded.folder, time.time(), "another-interaction")
    assert code_of(sent(guarded, page([elsewhere], other))[2]) == "RECORDED/"
    # Without an id the body is one.
    comment = {"comment": {"text": WORDS}}
    assert [code_of(sent(guarded, page([mine], comment))[2]) for _ in range(2)] == ["RECORDED/", "DUPLICATE/"]
    kept = guarded.feedbacks()[before:]
    assert len(kept) == 3
    assert {(f.tenant, f.user_id, f.conversation_id, f.source) for f in kept} == {("acme", "ann", "c-1", "browser")}


def test_a_page_of_ours_may_ask_and_read(guarded: World) -> None:
    ours = {"origin": "https://chat.example", "access-control-request-method": "POST",
            "access-control-request-headers": "content-type"}  # fmt: skip
    status, headers, _ = sent(guarded, request("OPTIONS", "/v1/feedback", ours))
    assert (status, headers["access-control-allow-origin"]) == (200, "https://chat.example")
    status, headers, _ = sent(guarded, page([token(guarded.folder, time.time())], {"copy": {"characters": 3}}))
    assert (status, headers["access-control-allow-origin"]) == (200, "https://chat.example")


def test_no_users_word_is_in_a_log_line_or_a_metric(guarded: World) -> None:
    sent(guarded, chat(said(user=WORDS, messages=[{"role": "user", "content": "break"}])))
    assert guarded.gateway is not None
    lines = guarded.gateway.log_path.read_text()
    assert "serving_started" in lines
    port = json.loads((guarded.folder / "gateway.ready").read_text())["metrics_port"]
    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    assert 'rejoinder_rpc_errors_total{method="POST /v1/feedback"' in metrics
    for text in (lines, metrics):
        for secret in (WORDS, "app-token", "somebody-elses", "v1.Wy"):
            assert secret not in text, secret
