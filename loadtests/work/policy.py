"""Answers of the policy, read to their end; the first text is marked."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rejoinder.clients.channel import AsyncChannel, Rpc
from rejoinder.core.ids import uuid7
from rejoinder.v1 import common_pb2, events_pb2, policy_pb2

from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach
from loadtests.work.texts import said, text

GENERATE = Rpc("/rejoinder.v1.PolicyService/Generate", policy_pb2.GenerateResponse, idempotent=False)


@dataclass(frozen=True)
class Params:
    """prompt_words: median. max_tokens: of an answer. unlogged: keeps answers out of the log; needs role internal."""

    prompt_words: float = 20.0
    max_tokens: int = 32
    unlogged: bool = False


class Generate:
    """owns: its channel."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._channel = reach.channel("policy")

    async def visit(self, number: int, visit: Visit) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        request = policy_pb2.GenerateRequest(
            interaction_id=uuid7(),
            conversation_id=uuid7(),
            user_id=f"user-{draw.randrange(2000):05d}",
            messages=said(text(draw, self._params.prompt_words, most=60)),
            sampling=common_pb2.Sampling(max_tokens=self._params.max_tokens),
            unlogged=self._params.unlogged,
        )

        async def call(left_s: float) -> None:
            await answered(self._channel, request, left_s, visit)

        await visit.step("answer", call)

    async def close(self) -> None:
        await self._channel.close()


async def answered(
    channel: AsyncChannel, request: policy_pb2.GenerateRequest, left_s: float, visit: Visit
) -> tuple[str, str]:
    """(text, attempt id) of an answer that was written to its end. Raises NotRight."""
    parts, attempt, ended = [], "", False
    async for message in channel.stream(GENERATE, request, left_s):
        match message.WhichOneof("part"):
            case "start":
                attempt = message.start.attempt_id
            case "text":
                if not parts:
                    visit.mark("first text")
                parts.append(message.text)
            case "end":
                ended = message.end.status == events_pb2.ATTEMPT_STATUS_COMPLETED
    if not ended:
        raise NotRight("WRONG_ANSWER")
    return "".join(parts), attempt
