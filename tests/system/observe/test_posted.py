"""Turns posted to a real observer: killed under traffic, with the service behind it away, and asked hostile things."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.rpc import status_pb2
from rejoinder.cli.supervisor import free_ports

from tests.chaos.harness import Killer, Process, Traffic, wait_until
from tests.observe.test_traced import as_protobuf, request, span
from tests.system.observe import world as world_
from tests.system.observe.world import Ingest

pytestmark = pytest.mark.system

#: In every body: found nowhere but in the log of events.
WORDS = "walrus-in-the-fjord"
PRINCIPALS = """
- {principal: shop, token: app-token, roles: [app], tenants: [acme]}
- {principal: reader, token: auditor-token, roles: [auditor], tenants: ["*"]}
"""
JSON = {"content-type": "application/json"}
APP = {**JSON, "authorization": "Bearer app-token"}
SPANS = {**APP, "content-type": "application/x-protobuf"}
MAX_BYTES = 20_000
EXAMPLES = Path(world_.__file__).parents[3] / "services" / "rejoinder" / "observe" / "examples"


def client() -> httpx.Client:
    return httpx.Client(timeout=60, verify=False)


@dataclass
class World:
    """An ingest, and an observer before it. owns: both processes."""

    ingest: Ingest
    process: Process
    url: str
    client: httpx.Client = field(default_factory=client)

    def post(self, path: str, body: Any, headers: dict[str, str] = APP) -> httpx.Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(f"{self.url}{path}", content=data, headers=headers)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("posted")
    ingest = Ingest(folder)
    (folder / "principals.yaml").write_text(PRINCIPALS)
    port = free_ports(1)[0]
    given = {
        "HTTP__PORT": str(port),
        "HTTP__MAX_BYTES": str(MAX_BYTES),
        "HTTP__MAX_ITEMS": "50",
        "INTO__FEEDBACK": ingest.address,
        "SERVER__AUTH__FILE": str(folder / "principals.yaml"),
        "SERVER__MAX_IN_FLIGHT": "2",
    }
    process = Process([sys.executable, "-m", "rejoinder.observe"], folder, "observe", given)
    try:
        process.start()
        yield World(ingest, process, f"http://127.0.0.1:{port}")
    finally:
        process.close()
        ingest.process.close()


def turn(name: str, **more: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": f"{WORDS}?"}]
    return {"id": name, "conversation_id": name, "user": "u", "messages": asked, "answer": f"{WORDS}!", **more}


@dataclass
class Application:
    """Posts turns of its own, and again until each is acknowledged. owns: the ids that were."""

    world: World
    acknowledged: list[str] = field(default_factory=list)
    tries: Counter[str] = field(default_factory=Counter)

    def say(self, caller: int, stop: threading.Event) -> None:
        number = sum(1 for name in self.acknowledged if name.startswith(f"{caller}."))
        names = [f"{caller}.{number + n}" for n in range(3)]
        body = {"turns": [turn(name) for name in names]}
        self.tries.update(names)
        try:
            told = self.world.post("/v1/turns", body)
        except httpx.TransportError:
            return
        if told.status_code == 200:
            assert {row["outcome"] for row in told.json()["results"]} <= {"RECORDED", "DUPLICATE"}
            self.acknowledged += names
        else:
            assert told.status_code in (429, 503)
            assert float(told.headers["retry-after"]) > 0


def test_killed_under_traffic_what_was_acknowledged_is_there_once(world: World) -> None:
    """F06, F07: the observer with kill -9 at seeded moments; its callers try again under the same ids."""
    application = Application(world)
    with Traffic(2, application.say) as traffic:
        for _ in Killer(world.process, lambda: len(application.acknowledged), traffic, seed=3).run(2):
            pass
        traffic.check()
    # Connections that the killed ones left are nobody's any more.
    world.client.close()
    world.client = client()
    stored = Counter(event.interaction_id for event in world.ingest.events("interactions", "acme"))
    assert set(application.acknowledged) - set(stored) == set()
    assert {name: count for name, count in stored.items() if count > 1} == {}
    assert set(stored) <= set(application.tries)


def test_no_room_is_429_no_service_is_503_and_both_say_when_to_come_back(world: World) -> None:
    os.kill(world.ingest.process.pid, signal.SIGSTOP)
    answers: list[httpx.Response] = []

    def taken(n: int) -> None:
        # Whoever asks below whether there is room may have had the last of it.
        while (answer := world.post("/v1/turns", turn(f"w{n}"))).status_code == 429:
            pass
        answers.append(answer)

    first = [threading.Thread(target=taken, args=(n,)) for n in (1, 2)]
    try:
        for one in first:
            one.start()
        refused: list[httpx.Response] = []

        def full() -> bool:
            refused.append(world.post("/v1/turns", {}))
            return refused[-1].status_code == 429

        wait_until(full, "no room")
        assert refused[-1].json()["error"]["code"] == "queue_full"
        assert int(refused[-1].headers["retry-after"]) >= 1
    finally:
        os.kill(world.ingest.process.pid, signal.SIGCONT)
        for one in first:
            one.join(60)
    assert [answer.status_code for answer in answers] == [200, 200]
    world.ingest.process.kill()
    try:
        away = world.post("/v1/turns", turn("w3"))
        assert (away.status_code, away.json()["error"]["code"]) == (503, "unavailable")
        assert int(away.headers["retry-after"]) >= 1
    finally:
        world.ingest.process.start()
    wait_until(lambda: world.post("/v1/turns", turn("w3")).status_code == 200, "the service")


def hostile() -> list[tuple[str, str, bytes, dict[str, str], int, str]]:
    """Name, path, body, headers; status and code of the refusal, or of one item its reason."""
    good = json.dumps(turn("h1")).encode()
    packed = {**APP, "content-encoding": "gzip"}
    lines = {**APP, "content-type": "application/x-ndjson"}
    deep = b'{"messages": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"
    many = json.dumps({"turns": [{}] * 51}).encode()
    return [
        ("nobody", "/v1/turns", good, JSON, 401, "invalid_api_key"),
        ("a guessed token", "/v1/turns", good, {**JSON, "authorization": "Bearer guessed"}, 401, "invalid_api_key"),
        ("a reader", "/v1/turns", good, {**JSON, "authorization": "Bearer auditor-token"}, 403, "role_missing"),
        ("another tenant", "/v1/turns", good, {**APP, "x-rejoinder-tenant": "beta"}, 403, "foreign_tenant"),
        ("a tenant that is no name", "/v1/turns", good, {**APP, "x-rejoinder-tenant": "a\tb"}, 400, "bad_encoding"),
        ("a page's form", "/v1/turns", good, {**APP, "content-type": "text/plain"}, 415, "unsupported_media_type"),
        ("another coding", "/v1/turns", good, {**APP, "content-encoding": "br"}, 415, "unsupported_media_type"),
        ("no gzip", "/v1/turns", good, packed, 400, "bad_encoding"),
        ("half a gzip", "/v1/turns", gzip.compress(good)[:-9], packed, 400, "bad_encoding"),
        ("a bomb", "/v1/turns", gzip.compress(b" " * 15_000_000), packed, 413, "request_too_large"),
        ("a huge body", "/v1/turns", b" " * (MAX_BYTES + 1), APP, 413, "request_too_large"),
        ("no JSON", "/v1/turns", WORDS.encode(), APP, 400, "bad_encoding"),
        ("no UTF-8", "/v1/turns", b'{"id": "\xff"}', APP, 400, "bad_encoding"),
        ("NaN", "/v1/turns", b'{"created": NaN}', APP, 400, "bad_encoding"),
        ("half a character", "/v1/turns", b'{"id": "\\ud800"}', APP, 400, "bad_encoding"),
        ("deep without end", "/v1/turns", deep, APP, 400, "bad_encoding"),
        ("too many", "/v1/turns", many, APP, 400, "too_long"),
        ("no such source", f"/v1/turns/{WORDS}", good, APP, 404, "not_found"),
        ("a role that is none", "/v1/turns", json.dumps(turn("h", messages=[{"role": WORDS}])).encode(), APP, 400,
         "invalid_argument"),
        ("a time that is none", "/v1/turns", json.dumps(turn("h", created=WORDS)).encode(), APP, 400,
         "invalid_argument"),
        ("an id with a line end", "/v1/turns", json.dumps(turn("h\nx")).encode(), APP, 400, "bad_encoding"),
        ("a line that is no JSON", "/v1/turns", WORDS.encode(), lines, 200, "UNREADABLE"),
        ("a number without end", "/v1/turns", b'{"messages": 1e999}\n', lines, 200, "UNREADABLE"),
        ("spans that are none", "/v1/traces", b"\xff" * 9, SPANS, 400, "3"),
        ("spans nested without end", "/v1/traces", b"\x0a\x80\x01" * 6_000, SPANS, 400, "3"),
        ("a bomb of spans", "/v1/traces", gzip.compress(b"\0" * 15_000_000), {**SPANS, "content-encoding": "gzip"}, 413,
         "3"),
        ("spans of nobody", "/v1/traces", b"", {"content-type": "application/x-protobuf"}, 401, "16"),
        ("spans of another kind", "/v1/traces", b"", {**APP, "content-type": "text/plain"}, 415, "3"),
        ("spans that are a list", "/v1/traces", b"[]", APP, 400, "3"),
        ("a span of NaN", "/v1/traces", b'{"resourceSpans": NaN}', APP, 400, "3"),
        ("spans of the wrong kind", "/v1/traces", b'{"resourceSpans": {"scopeSpans": []}}', APP, 400, "3"),
        ("feedback of another tenant", "/v1/feedback",
         json.dumps({"events": [{"tenant": "beta", "copy": {}}]}).encode(), APP, 200, "FOREIGN_TENANT"),
        ("feedback of no kind", "/v1/feedback", json.dumps({"events": [{"said": WORDS}]}).encode(), APP, 200,
         "INVALID_ARGUMENT"),
    ]  # fmt: skip


@pytest.mark.parametrize("row", hostile(), ids=lambda row: row[0])
def test_a_hostile_request_is_refused_and_nothing_is_written(world: World, row: Any) -> None:
    _, path, body, headers, status, code = row
    before = world.ingest.count("interactions", "acme")
    told = world.post(path, body, headers)
    assert told.status_code == status
    assert _code(told) == code
    assert world.ingest.count("interactions", "acme") == before
    assert WORDS not in told.text


def _code(told: httpx.Response) -> str:
    """OpenAI's, an item's reason, or the number in a google.rpc.Status."""
    if told.headers["content-type"] == "application/x-protobuf":
        return str(status_pb2.Status.FromString(told.content).code)
    said = told.json()
    if "error" in said:
        return str(said["error"]["code"])
    return str(said["results"][0]["reason"] if "results" in said else said["code"])


def test_the_example_posts_a_turn_and_a_thumb(world: World) -> None:
    script = EXAMPLES / "post.py"
    command = [sys.executable, str(script), world.url, "app-token"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.count("'outcome': 'RECORDED'") == 2
    (thumb,) = [e for e in world.ingest.events("feedback", "acme") if e.interaction_id == "answer-7"]
    assert thumb.kind.number == 0
    assert any(e.interaction_id == "answer-7" for e in world.ingest.events("interactions", "acme"))


def test_an_exporter_that_packs_its_spans_is_understood_and_once_is_enough(world: World) -> None:
    spans = request(span("spanned", [{"role": "user", "content": WORDS}], WORDS))
    for media, data in (("application/json", spans), ("application/x-protobuf", as_protobuf(spans))):
        told = world.post("/v1/traces", gzip.compress(data), {**APP, "content-type": media, "content-encoding": "gzip"})
        assert (told.status_code, told.headers["content-type"]) == (200, media)
        assert told.content in (b"{}", b"")
    answers = world.ingest.events("interactions", "acme")
    assert [answer.interaction_id for answer in answers].count("spanned") == 1


def test_after_all_of_them_it_serves_and_no_line_of_its_log_holds_what_people_said(world: World) -> None:
    assert world.post("/v1/turns", turn("last")).status_code == 200
    assert world.process.terminate() == 0
    log = world.process.log_path.read_text()
    assert WORDS not in log
    assert "call_failed" not in log
