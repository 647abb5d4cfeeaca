"""gateway/openai: what passes through, what is kept back, and what is recorded before its caller sees the end."""

from __future__ import annotations

import asyncio
import io
import json
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from rejoinder.core.arms import ArmsTable, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import ArmKind, AttemptStatus, Interaction, Served
from rejoinder.gateway.arms import Drawing, Known, Listed
from rejoinder.gateway.asked import asked_of
from rejoinder.gateway.errors import ModelNotFound, UpstreamAnswered, UpstreamRefused
from rejoinder.gateway.guard import Answer, HttpCall, Stream
from rejoinder.gateway.marks import Marker
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.openai import Forward
from rejoinder.gateway.openai_server import OpenAiServer
from rejoinder.gateway.settings import OpenAiUpstream
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.call import LOCAL, Principal
from rejoinder.runtime.logging import event_log
from starlette.datastructures import Headers

APP = Principal("chat", frozenset({"app"}))


class FakeSpool:
    """owns: what it was given; a record is on disk when `write` says so."""

    full = False

    def __init__(self) -> None:
        self.records: list[Interaction] = []
        self.waiting: list[Future[bool]] = []
        self.at_once = True

    def put(self, record: Interaction) -> Future[bool]:
        self.records.append(record)
        done: Future[bool] = Future()
        self.waiting.append(done)
        if self.at_once:
            done.set_result(True)
        return done


class CanaryDrawing(Drawing):
    """Draws the canary for everybody."""

    def draw(self, asked: Interaction) -> Served:
        return Served("assist", "r1", "c", ArmKind.CANARY, 0.2)


class World:
    """A server that answers what `answers` says for a model: (status, body)."""

    def __init__(self, folder: Path, canary: bool = False, **settings: Any) -> None:
        (folder / "api.key").write_text("sk-1\n")
        theme = OpenAiUpstream(key_file=folder / "api.key", **settings)
        self.clock, self.spool, self.metrics = ManualClock(), FakeSpool(), Metrics()
        self.requests: list[httpx.Request] = []
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.hangs = asyncio.Event()
        wire = httpx.MockTransport(self._answer)
        self.lines = io.StringIO()
        meter = Meter(self.metrics, event_log("gateway", self.lines))
        view = ArmsView(ArmsTable("assist", stable=Version("base", "b"), holdout_share=0), self.clock)
        self.known = Known({})
        self.known.pin([Version("base", "b"), Version("r1", "c")])
        self.known.listed(Listed(frozenset({"base", "r1", "other"}), {"base": "/models/base"}))
        kind = CanaryDrawing if canary else Drawing
        drawing = kind(view, self.known, AssignmentCounter("e"), self.spool, meter, self.clock)  # type: ignore[arg-type]
        server = OpenAiServer(wire, "http://upstream/v1/", theme.key_file, meter)
        marker, names = Marker(None), frozenset({"assist"})
        self.forward = Forward(server, drawing, self.known, self.spool, marker, meter, self.clock, names, theme)  # type: ignore[arg-type]

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, body = self.answers[json.loads(request.content)["model"]]
        if status == 0:
            raise httpx.ConnectError("away")
        if status == 1:
            raise httpx.RemoteProtocolError("gone")
        if status == 2:
            self.hangs.set()
            await asyncio.Event().wait()
        return httpx.Response(status, content=body)

    async def chat(self, model: str = "assist", caller: Principal = APP, **body: Any) -> Answer | Stream:
        given = {"model": model, "messages": [{"role": "user", "content": "hi"}], **body}
        asked = asked_of(given, Headers({}), caller, self.clock.now(), 8)
        return await self.forward.chat(asked, HttpCall(Headers({}), b"", {}, caller, 60.0))

    def body(self, place: int = -1) -> dict[str, Any]:
        return json.loads(self.requests[place].content)


def sse(*values: Any) -> bytes:
    return b"".join(f"data: {v if isinstance(v, str) else json.dumps(v)}\n\n".encode() for v in values)


def chunk(content: str = "", finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}]}


WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}}


async def test_a_request_goes_on_as_it_came_but_for_its_model_and_credentials(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answers["base"] = (200, json.dumps(WHOLE).encode())
    answer = await world.chat(guided_json={"a": 1}, top_k=3)
    assert isinstance(answer, Answer)
    assert (world.body()["model"], world.body()["guided_json"], world.body()["top_k"]) == ("base", {"a": 1}, 3)
    assert "stream_options" not in world.body()
    request = world.requests[0]
    assert (str(request.url), request.headers["authorization"]) == (
        "http://upstream/v1/chat/completions",
        "Bearer sk-1",
    )
    (record,) = world.spool.records
    assert answer.content["rejoinder"]["attempt_id"] == record.attempt_id == request.headers["x-request-id"]
    assert (record.response, record.principal, record.status) == ("yes", "chat", AttemptStatus.COMPLETED)


async def test_the_end_of_a_stream_waits_for_its_record(tmp_path: Path) -> None:
    world = World(tmp_path)
    odd = '{"choices": [{"index": 0,   "delta": {"content": "b"}}]}'
    world.answers["base"] = (200, sse(chunk("a"), odd, chunk("", "stop"), USAGE, "[DONE]"))
    stream = await world.chat(stream=True)
    assert isinstance(stream, Stream)
    assert world.body()["stream_options"] == {"include_usage": True}
    world.spool.at_once = False
    first = await anext(stream.parts)
    assert json.loads(first[6:])["rejoinder"]["interaction_id"]
    assert (await anext(stream.parts)).decode() == f"data: {odd}\n\n", "byte for byte"
    coming = asyncio.ensure_future(anext(stream.parts))
    await asyncio.sleep(0)
    while not world.spool.waiting:
        await asyncio.sleep(0)
    assert not coming.done()
    world.spool.waiting[0].set_result(True)
    rest = [await coming] + [part async for part in stream.parts]
    assert [b"stop" in rest[0], rest[-1], len(rest)] == [True, b"data: [DONE]\n\n", 2], "usage was not asked for"
    (record,) = world.spool.records
    assert (record.response, record.prompt_tokens) == ("ab", 2)
    await stream.close()
    assert len(world.spool.records) == 1


async def test_a_canary_whose_model_is_gone_is_answered_by_stable(tmp_path: Path) -> None:
    world = World(tmp_path, canary=True)
    world.answers = {"r1": (404, b"{}"), "base": (200, json.dumps(WHOLE).encode())}
    await world.chat()
    assert [world.body(place)["model"] for place in (0, 1)] == ["r1", "base"]
    served = world.spool.records[0].served
    assert served is not None
    assert (served.version, served.arm, served.forced) == ("base", ArmKind.STABLE, True)
    assert world.metrics.value("gateway_stable_instead_total") == 1


@pytest.mark.parametrize(
    ("status", "error", "records"),
    [
        (400, UpstreamAnswered, 0),
        (404, UpstreamAnswered, 0),
        (429, UpstreamAnswered, 0),
        (503, UpstreamAnswered, 0),
        (500, UpstreamAnswered, 1),
        (401, UpstreamRefused, 0),
        (302, UpstreamRefused, 0),
        (0, Unavailable, 0),
        (1, UpstreamRefused, 1),
    ],
)
async def test_refusals_of_the_server(tmp_path: Path, status: int, error: type[Exception], records: int) -> None:
    world = World(tmp_path)
    world.answers["base"] = (status, b'{"object": "error", "message": "no", "code": 7}')
    with pytest.raises(error):
        await world.chat(stream=True)
    assert [record.status for record in world.spool.records] == [AttemptStatus.FAILED] * records


@pytest.mark.parametrize("body", [b"<html>", b"[]", sse(chunk("a")), sse("no json")])
async def test_what_is_no_answer_is_an_error_and_a_failed_attempt(tmp_path: Path, body: bytes) -> None:
    world = World(tmp_path)
    world.answers["base"] = (200, body)
    stream = await world.chat(stream=True)
    assert isinstance(stream, Stream)
    with pytest.raises(UpstreamRefused):
        async for _ in stream.parts:
            pass
    await stream.close()
    assert [(r.status, r.failure_reason) for r in world.spool.records] == [(AttemptStatus.FAILED, "UNAVAILABLE")]


@pytest.mark.parametrize(
    ("after_s", "status", "reason"),
    [(0.0, AttemptStatus.CANCELLED, ""), (60.0, AttemptStatus.FAILED, "DEADLINE_EXCEEDED")],
)
async def test_an_answer_that_nobody_waits_for_any_more_is_an_attempt(
    tmp_path: Path, after_s: float, status: AttemptStatus, reason: str
) -> None:
    world = World(tmp_path, canary=True)
    world.answers["r1"] = (2, b"")
    asking = asyncio.create_task(world.chat())
    await world.hangs.wait()
    world.clock.advance(after_s)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    (record,) = world.spool.records
    assert record.served is not None
    assert (record.served.arm, record.status, record.failure_reason) == (ArmKind.CANARY, status, reason)


async def test_an_answer_without_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rejoinder.gateway.passing._MAX_BODY", 1000)
    world = World(tmp_path)
    world.answers["base"] = (200, sse(*[chunk("a")] * 30))
    stream = await world.chat(stream=True)
    assert isinstance(stream, Stream)
    with pytest.raises(UpstreamRefused, match="too long"):
        async for _ in stream.parts:
            pass
    await stream.close()
    assert [record.status for record in world.spool.records] == [AttemptStatus.FAILED]


async def test_a_server_may_give_fewer_choices_and_no_reason_for_its_end(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answers["base"] = (200, sse({**chunk("a"), "error": None}, {"choices": [], "usage": None}, "[DONE]"))
    stream = await world.chat(stream=True, n=3)
    assert isinstance(stream, Stream)
    parts = [part async for part in stream.parts]
    await stream.close()
    assert (len(parts), parts[-1]) == (3, b"data: [DONE]\n\n")
    world.answers["base"] = (200, json.dumps(WHOLE).encode())
    await world.chat(n=3)
    assert [(r.status, r.response) for r in world.spool.records] == [
        (AttemptStatus.COMPLETED, "a"),
        (AttemptStatus.COMPLETED, "yes"),
    ]


async def test_a_key_that_is_being_replaced_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "api.key").unlink()
    with pytest.raises(Unavailable):
        await world.chat()


def test_an_address_that_is_none_is_found_at_the_start() -> None:
    with pytest.raises(ValueError, match="url"):
        OpenAiUpstream(url="localhost:8000/v1")


def whole(model: str) -> bytes:
    return json.dumps({**WHOLE, "model": model}).encode()


def pieces(model: str) -> bytes:
    return sse({**chunk("ye"), "model": model}, {**chunk("s", "stop"), "model": model}, "[DONE]")


async def read(answer: Answer | Stream) -> str:
    """The version that the caller is told."""
    if isinstance(answer, Stream):
        parts = [part async for part in answer.parts]
        await answer.close()
        return str(json.loads(parts[0][6:])["rejoinder"]["version"])
    return str(answer.content["rejoinder"]["version"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("told", "labels", "asked"),
    [
        ("r1", ("r1", ArmKind.CANARY, False), ["r1"]),
        # The words are stable's: they stay, under its name.
        ("base", ("base", ArmKind.STABLE, True), ["r1"]),
        # Whoever that is, it is neither: stable is asked.
        ("llama", ("base", ArmKind.STABLE, True), ["r1", "base"]),
    ],
)
async def test_an_answer_of_another_model_is_never_the_canarys(
    tmp_path: Path, told: str, labels: tuple[str, ArmKind, bool], asked: list[str], stream: bool
) -> None:
    """A vLLM that began again without its adapters and looks at no names answers `r1` from its base."""
    make = pieces if stream else whole
    world = World(tmp_path, canary=True, server="vllm")
    world.answers = {"r1": (200, make(told)), "base": (200, make("base"))}
    version = await read(await world.chat(stream=stream))
    (record,) = world.spool.records
    assert record.served is not None
    assert (record.served.version, record.served.arm, record.served.forced) == labels
    assert (record.response, version) == ("yes", labels[0])
    assert [world.body(place)["model"] for place in range(len(world.requests))] == asked
    assert ("r1" in world.known.models) is (told == "r1"), "no further canary until the list has it again"


@pytest.mark.parametrize("stream", [False, True])
async def test_without_the_check_it_would_be_labelled_the_canarys(tmp_path: Path, stream: bool) -> None:
    """The control."""
    world = World(tmp_path, canary=True)
    world.answers["r1"] = (200, (pieces if stream else whole)("base"))
    assert await read(await world.chat(stream=stream)) == "r1"
    (record,) = world.spool.records
    assert record.served is not None
    assert record.served.arm is ArmKind.CANARY


async def test_a_stable_that_the_server_lost_is_503_or_recorded_as_what_answered(tmp_path: Path) -> None:
    world = World(tmp_path, server="vllm")
    world.answers["base"] = (404, b"{}")
    with pytest.raises(Unavailable):
        await world.chat()
    assert world.spool.records == []
    world.answers["base"] = (200, whole("llama"))
    await world.chat()
    served = world.spool.records[0].served
    assert served is not None
    assert (served.policy, served.version) == ("llama", "llama")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_base_of_several_names_answers_by_the_first_and_is_the_version_all_the_same(
    tmp_path: Path, stream: bool
) -> None:
    """`--served-model-name llama base`: every answer says `llama`."""
    world = World(tmp_path, server="vllm")
    bases = {"llama": "/models/base", "base": "/models/base", "else": "/models/else"}
    world.known.listed(Listed(frozenset({*bases, "r1"}), bases))
    world.answers["base"] = (200, (pieces if stream else whole)("llama"))
    assert await read(await world.chat(stream=stream)) == "base"
    world.answers["base"] = (200, (pieces if stream else whole)("else"))
    for _ in range(2):
        assert await read(await world.chat(stream=stream)) == "else"
    labels = [(r.served.policy, r.served.version, r.served.forced) for r in world.spool.records if r.served]
    assert labels == [("assist", "base", False), ("else", "else", False), ("else", "else", False)]
    assert world.lines.getvalue().count("event=answered_by_another model=base told=else") == 1


async def test_a_canary_that_the_base_answers_by_another_of_its_names_is_stables(tmp_path: Path) -> None:
    world = World(tmp_path, canary=True, server="vllm")
    bases = {"llama": "/models/base", "base": "/models/base"}
    world.known.listed(Listed(frozenset({*bases, "r1"}), bases))
    world.answers["r1"] = (200, whole("llama"))
    assert await read(await world.chat()) == "base"
    assert len(world.requests) == 1, "the words are stable's: they stay"


async def test_a_version_that_was_rolled_back_is_nobodys_to_choose_while_the_server_has_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.known.pin([Version("base", "b")])
    with pytest.raises(ModelNotFound):
        await world.chat("r1")
    assert world.forward.other_models() == ["other"]
    # One of an earlier process of ours is known by where it lies.
    world.known.listed(Listed(frozenset({"base", "r0", "other"}), versions=frozenset({"r0"})))
    with pytest.raises(ModelNotFound):
        await world.chat("r0")
    assert world.forward.other_models() == ["other"]


async def test_other_models_pass_through_and_versions_are_nobodys_to_choose(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.answers |= {name: (200, json.dumps(WHOLE).encode()) for name in ("other", "r1")}
    await world.chat("other")
    served = world.spool.records[0].served
    assert served is not None
    assert (served.policy, served.version, served.propensity) == ("other", "other", 1.0)
    with pytest.raises(ModelNotFound):
        await world.chat("r1")
    await world.chat("r1", LOCAL)
    assert world.forward.other_models() == ["other"]
    closed = World(tmp_path, other_models=False)
    with pytest.raises(ModelNotFound):
        await closed.chat("other")
    assert closed.forward.other_models() == []
