"""Our policy service behind the OpenAI API: it draws the arm and records, this gives its answer OpenAI's shape."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from rejoinder.clients.policy import AsyncPolicyClient, End, GenerateAsk, Part, Start
from rejoinder.core.clock import Clock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Sampling
from rejoinder.gateway import sse
from rejoinder.gateway.asked import Asked
from rejoinder.gateway.errors import BadParameter, ModelNotFound, UpstreamRefused
from rejoinder.gateway.guard import Answer, HttpCall, Stream
from rejoinder.gateway.marks import FIELD, Marker, Marks

T = TypeVar("T")

#: Parameters that are met, and those that change nothing about an answer here.
_MET = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "n",
        "temperature",
        "top_p",
        "top_k",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
    }
)
_WITHOUT_EFFECT = frozenset(
    {
        "user",
        "safety_identifier",
        "store",
        "metadata",
        "service_tier",
        "prediction",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
    }
)
#: Parameters that cannot be met, and the values that ask for nothing.
_UNMET: Mapping[str, tuple[Any, ...]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "audio": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
}
_FINISH = {"length": "length"}


def check_parameters(body: Mapping[str, Any]) -> None:
    """Raises BadParameter for one that is unknown, as OpenAI does, or that this policy cannot meet: an application
    must not believe that its schema or its tools were heeded."""
    none_called = body.get("tool_choice") == "none"
    for name, value in body.items():
        if name in _MET or name in _WITHOUT_EFFECT or value is None:
            continue
        if name not in _UNMET:
            raise BadParameter(f"Unknown parameter: {name[:64]!r}.", name[:64], "unknown_parameter")
        if value not in _UNMET[name] and not (name == "tools" and none_called):
            raise BadParameter(f"this model does not support {name}", name, "unsupported_parameter")


@dataclass(frozen=True)
class _Whole:
    """A choice from beginning to end."""

    start: Start
    text: str
    end: End


class PolicyUpstream:
    """owns: nothing; the client is closed by whoever made it.

    model: the policy's name. names: all that mean it.
    """

    def __init__(
        self, client: AsyncPolicyClient, marker: Marker, clock: Clock, model: str, names: frozenset[str]
    ) -> None:
        self._client = client
        self._marker = marker
        self._clock = clock
        self._model = model
        self._names = names

    def other_models(self) -> list[str]:
        return []

    async def chat(self, asked: Asked, call: HttpCall) -> Answer | Stream:
        if asked.model not in self._names:
            raise ModelNotFound
        check_parameters(asked.body)
        choices = [_Choice(self._client, ask, self._left(call)) for ask in self._asks(asked)]
        try:
            # Nothing is said before each of them has begun: a refusal is a status, not an event.
            starts = await _together([choice.start() for choice in choices])
            marks = self._marks(asked, starts)
            if asked.stream:
                return Stream(self._events(asked, choices, starts, marks), marks.headers, lambda: _close(choices))
            wholes = await _together([choice.rest(start) for choice, start in zip(choices, starts, strict=True)])
        except BaseException:
            await _close(choices)
            raise
        return Answer(self._completion(wholes, marks), headers=marks.headers)

    def _asks(self, asked: Asked) -> list[GenerateAsk]:
        said = asked.interaction
        ask = GenerateAsk(
            messages=said.messages,
            tenant=said.tenant,
            policy=self._model,
            interaction_id=said.interaction_id or uuid7(self._clock.now()),
            conversation_id=said.conversation_id,
            conversation_started_at=said.conversation_started_at,
            parent_interaction_id=said.parent_interaction_id,
            turn=said.turn,
            user_id=said.user_id,
            sampling=said.sampling,
            consent=said.consent,
        )
        return [replace(ask, sampling=_seeded(said.sampling or Sampling(), number)) for number in range(asked.n)]

    def _left(self, call: HttpCall) -> float:
        return max(0.001, call.deadline - self._clock.monotonic())

    def _marks(self, asked: Asked, starts: Sequence[Start]) -> Marks:
        version = starts[0].served.version if starts[0].served is not None else ""
        attempts = [start.attempt_id for start in starts]
        return self._marker.of(asked.interaction, starts[0].interaction_id, attempts, version)

    def _head(self, start: Start, kind: str) -> dict[str, Any]:
        served = start.served
        return {
            "id": f"chatcmpl-{start.interaction_id}",
            "object": kind,
            "created": int(self._clock.now()),
            "model": self._model if served is None else served.version,
            "system_fingerprint": None if served is None else f"fp_{served.digest[:16]}",
        }

    def _completion(self, wholes: Sequence[_Whole], marks: Marks) -> dict[str, Any]:
        return {
            **self._head(wholes[0].start, "chat.completion"),
            "choices": [
                {
                    "index": index,
                    "message": {"role": "assistant", "content": whole.text, "refusal": None},
                    "logprobs": None,
                    "finish_reason": _FINISH.get(whole.end.finish_reason, "stop"),
                }
                for index, whole in enumerate(wholes)
            ],
            "usage": _usage([whole.end for whole in wholes]),
            FIELD: marks.field,
        }

    async def _events(
        self, asked: Asked, choices: Sequence[_Choice], starts: Sequence[Start], marks: Marks
    ) -> AsyncIterator[bytes]:
        head = self._head(starts[0], "chat.completion.chunk")
        null: dict[str, Any] = {"usage": None} if asked.include_usage else {}
        for index in range(len(choices)):
            first = {FIELD: marks.field} if index == 0 else {}
            yield sse.event({**head, **_delta(index, {"role": "assistant", "content": ""}), **null, **first})
        ends = []
        async for index, part in _merged(choices):
            if isinstance(part, str):
                yield sse.event({**head, **_delta(index, {"content": part}), **null})
            elif isinstance(part, End):
                ends.append(part)
                finish = _FINISH.get(part.finish_reason, "stop")
                yield sse.event({**head, **_delta(index, {}, finish), **null})
        if len(ends) < len(choices):
            raise UpstreamRefused("the policy service broke off")
        if asked.include_usage:
            yield sse.event({**head, "choices": [], "usage": _usage(ends)})
        yield sse.DONE


class _Choice:
    """One answer on its way. owns: its call."""

    def __init__(self, client: AsyncPolicyClient, ask: GenerateAsk, deadline_s: float) -> None:
        self.parts: AsyncIterator[Part] = client.generate(ask, deadline_s)

    async def start(self) -> Start:
        first = await anext(self.parts, None)
        if not isinstance(first, Start):
            raise UpstreamRefused("the policy service did not say what it answers")
        return first

    async def rest(self, start: Start) -> _Whole:
        texts: list[str] = []
        async for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, End):
                return _Whole(start, "".join(texts), part)
        raise UpstreamRefused("the policy service broke off")


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first failure ends the others before it is raised, so that nothing of them runs on."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _merged(choices: Sequence[_Choice]) -> AsyncIterator[tuple[int, Part]]:
    """Parts of all choices as they come, each with its choice; at most one of each is waiting."""
    if len(choices) == 1:
        async for part in choices[0].parts:
            yield 0, part
        return
    coming = {asyncio.ensure_future(anext(choice.parts, None)): index for index, choice in enumerate(choices)}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                index, came = coming.pop(one), one.result()
                if came is not None:
                    coming[asyncio.ensure_future(anext(choices[index].parts, None))] = index
                    yield index, came
    finally:
        for one in coming:
            one.cancel()
        await asyncio.gather(*coming, return_exceptions=True)


async def _close(choices: Sequence[_Choice]) -> None:
    """Cancels what still runs: nothing is generated for nobody."""
    for choice in choices:
        # Whoever was being read while it was cancelled has ended by itself.
        with suppress(RuntimeError, RejoinderError):
            await choice.parts.aclose()  # type: ignore[attr-defined]


def _seeded(sampling: Sampling, number: int) -> Sampling:
    """The n-th choice of a seed; without one each draws its own."""
    return replace(sampling, seed=(sampling.seed + number) % 2**63 or 1) if sampling.seed else sampling


def _delta(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}


def _usage(ends: Sequence[End]) -> dict[str, int]:
    prompt, completion = ends[0].prompt_tokens, sum(end.completion_tokens for end in ends)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
