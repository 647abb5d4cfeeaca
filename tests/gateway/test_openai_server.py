"""gateway/openai_server: what a server lists, what it says of adapters, and how long it may take for that."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from rejoinder.core.metrics import Metrics
from rejoinder.gateway.arms import Known, Listed
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.openai_server import Card, OpenAiServer, Watch
from rejoinder.runtime.logging import event_log


def server(answer: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> OpenAiServer:
    return OpenAiServer(httpx.MockTransport(answer), "http://upstream/v1", None, Meter(Metrics(), None))  # type: ignore[arg-type]


def saying(status: int, body: object) -> OpenAiServer:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    return server(answer)


async def test_models_are_cards_and_what_has_no_name_is_none() -> None:
    listed = [{"id": "llama", "root": "/m", "parent": None}, {"id": "r1", "root": "/r", "parent": "llama"}, {"id": 7}]
    made = saying(200, {"data": listed})
    assert await made.cards() == [Card("llama", "/m"), Card("r1", "/r", "llama")]
    assert (await made.listed()).models == {"llama", "r1"}
    with pytest.raises(ValueError, match="503"):
        await saying(503, {}).cards()


@pytest.mark.parametrize(
    ("status", "words", "loaded", "unloaded"),
    [
        (200, "Success", "", ""),
        (400, "The lora adapter 'r1' has already been loaded.", "", "unload answered 400"),
        (400, "no such folder", "load answered 400", "unload answered 400"),
        (404, "cannot be found", "load answered 404", ""),
    ],
)
async def test_what_it_says_of_adapters(status: int, words: str, loaded: str, unloaded: str) -> None:
    made = saying(status, {"error": words})
    assert (await made.load_adapter("r1", "/r"), await made.unload_adapter("r1")) == (loaded, unloaded)


@pytest.mark.parametrize("drips", [False, True])
async def test_one_that_takes_too_long_is_left_also_where_it_says_something_now_and_then(
    drips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rejoinder.gateway.openai_server._LOAD_S", 0.02)

    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    async def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"lora_name": "r1", "lora_path": "/r"}
        if not drips:
            await asyncio.Event().wait()
        return httpx.Response(200, content=dripping())

    async with asyncio.timeout(60):
        with pytest.raises(httpx.ReadTimeout):
            await server(answer).load_adapter("r1", "/r")


async def test_a_server_that_is_away_changes_nothing_and_is_said_once() -> None:
    known, lines = Known({}), io.StringIO()
    answers: list[Listed | Exception] = [Listed(frozenset({"llama"})), *[httpx.ConnectError("away")] * 2]

    async def look() -> Listed:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    watch = Watch(look, known, 0.0, event_log("gateway", lines))
    for _ in range(3):
        await watch.once()
    assert known.models == {"llama"}
    assert lines.getvalue().count("event=models_not_listed reason=ConnectError") == 1
