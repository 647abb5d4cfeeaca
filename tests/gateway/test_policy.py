"""gateway/policy: our policy's answers in OpenAI's shape; what cannot be met is refused, what is not read is ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from rejoinder.clients.policy import End, GenerateAsk, Part, Start
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import QueueFull
from rejoinder.core.types import ArmKind, AttemptStatus, Served
from rejoinder.gateway.asked import asked_of
from rejoinder.gateway.errors import BadParameter, ModelNotFound, UpstreamRefused
from rejoinder.gateway.guard import Answer, HttpCall, Stream
from rejoinder.gateway.marks import Marker
from rejoinder.gateway.policy import PolicyUpstream, check_parameters
from rejoinder.runtime.call import LOCAL
from starlette.datastructures import Headers

SERVED = Served("assist", "v1", "d" * 64, ArmKind.STABLE, 1.0)


class FakePolicy:
    """Answers `answer <n>` in two pieces. owns: who was asked, whose calls ended."""

    def __init__(self) -> None:
        self.asks: list[GenerateAsk] = []
        self.ended: list[int] = []
        self.refuse: int | None = None
        self.breaks = False
        self.waits: int | None = None

    async def generate(self, ask: GenerateAsk, deadline_s: float | None = None) -> AsyncIterator[Part]:
        number = len(self.asks)
        self.asks.append(ask)
        try:
            if number == self.refuse:
                raise QueueFull("full", retry_after_s=0.5)
            if number == self.waits:
                await asyncio.Event().wait()
            yield Start(ask.interaction_id, f"a-{number}", SERVED)
            for piece in ("answer ", str(number)):
                yield piece
            if not self.breaks:
                yield End(AttemptStatus.COMPLETED, "length", 5, 2)
        finally:
            self.ended.append(number)


class World:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.policy = FakePolicy()
        names = frozenset({"assist", "gpt-4o"})
        self.upstream = PolicyUpstream(self.policy, Marker(None), self.clock, "assist", names)  # type: ignore[arg-type]

    async def chat(self, **body: Any) -> Answer | Stream:
        given = {"model": "assist", "messages": [{"role": "user", "content": "hi"}], **body}
        asked = asked_of(given, Headers({}), LOCAL, self.clock.now(), 8)
        return await self.upstream.chat(asked, HttpCall(Headers({}), b"", {}, LOCAL, self.clock.monotonic() + 60))


async def read(stream: Answer | Stream) -> list[Any]:
    """Events of a stream, each as its JSON, the last as it is."""
    assert isinstance(stream, Stream)
    parts = [part.decode().removeprefix("data: ").strip() async for part in stream.parts]
    await stream.close()
    return [*map(json.loads, parts[:-1]), parts[-1]]


async def test_a_stream_is_openais() -> None:
    world = World()
    stream = await world.chat(model="gpt-4o", stream=True, stream_options={"include_usage": True})
    *chunks, last = await read(stream)
    assert last == "[DONE]"
    assert [c["choices"][0]["delta"] for c in chunks[:-1]] == [
        {"role": "assistant", "content": ""},
        {"content": "answer "},
        {"content": "0"},
        {},
    ]
    assert [c["choices"][0]["finish_reason"] for c in chunks[:-1]] == [None, None, None, "length"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 7)
    assert all(c["usage"] is None for c in chunks[:-1])
    assert {c["id"] for c in chunks} == {f"chatcmpl-{world.policy.asks[0].interaction_id}"}
    assert chunks[0]["rejoinder"] == {
        "interaction_id": world.policy.asks[0].interaction_id,
        "attempt_id": "a-0",
        "version": "v1",
    }
    assert dict(stream.headers)["x-rejoinder-attempt"] == "a-0"  # type: ignore[union-attr]


async def test_choices_are_attempts_of_one_interaction_each_with_its_own_seed() -> None:
    world = World()
    answer = await world.chat(n=3, seed=7)
    assert isinstance(answer, Answer)
    assert [choice["message"]["content"] for choice in answer.content["choices"]] == [
        "answer 0",
        "answer 1",
        "answer 2",
    ]
    assert answer.content["usage"] == {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}
    assert len({ask.interaction_id for ask in world.policy.asks}) == 1
    assert [ask.sampling.seed for ask in world.policy.asks if ask.sampling] == [7, 8, 9]
    *chunks, last = await read(await world.chat(n=2, stream=True))
    texts = [
        "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"][0]["index"] == i)
        for i in (0, 1)
    ]
    assert (texts, last) == (["answer 3", "answer 4"], "[DONE]")


async def test_one_choice_that_is_refused_ends_the_others_and_is_a_status() -> None:
    world = World()
    world.policy.refuse = 2
    world.policy.waits = 1
    with pytest.raises(QueueFull):
        await world.chat(n=3, stream=True)
    assert sorted(world.policy.ended) == [0, 1, 2]


async def test_a_stream_that_nobody_reads_on_ends_its_calls() -> None:
    world = World()
    stream = await world.chat(n=2, stream=True)
    assert isinstance(stream, Stream)
    await anext(stream.parts)
    assert world.policy.ended == []
    await stream.close()
    assert sorted(world.policy.ended) == [0, 1]


async def test_an_answer_without_an_end_is_no_answer() -> None:
    world = World()
    world.policy.breaks = True
    with pytest.raises(UpstreamRefused):
        await world.chat()
    with pytest.raises(UpstreamRefused):
        await read(await world.chat(stream=True))


async def test_another_model_is_not_there() -> None:
    with pytest.raises(ModelNotFound):
        await World().chat(model="v1")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tools": [{"type": "function"}]}, "unsupported_parameter"),
        ({"tools": [{"type": "function"}], "tool_choice": "required"}, "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "unsupported_parameter"),
        ({"logit_bias": {"1": 5}}, "unsupported_parameter"),
        ({"presence_penalty": 0.5}, "unsupported_parameter"),
        ({"modalities": ["text", "audio"]}, "unsupported_parameter"),
        ({"verbosity": "low"}, "unsupported_parameter"),
        ({"guided_json": {}}, "unknown_parameter"),
    ],
)
def test_what_cannot_be_met_is_refused(body: dict[str, Any], code: str) -> None:
    with pytest.raises(BadParameter) as refused:
        check_parameters(body)
    assert refused.value.code == code


def test_what_asks_for_nothing_passes() -> None:
    check_parameters(
        {
            "tools": [{"type": "function"}],
            "tool_choice": "none",
            "logprobs": False,
            "frequency_penalty": 0,
            "response_format": {"type": "text"},
            "audio": None,
            "store": True,
            "metadata": {"a": "b"},
        }
    )
