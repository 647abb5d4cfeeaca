"""A whole conversation an arrival: a turn, a follow-up that the user's next words are, a thumb.

Within it people wait for their answers (a closed loop), so only the first turn is due by the schedule; the others are
due when the person has read.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from rejoinder.core import types
from rejoinder.core.ids import uuid7
from rejoinder.v1 import common_pb2, policy_pb2

from loadtests.openloop.generator import Visit
from loadtests.work.feedback import recorded, thumb
from loadtests.work.policy import answered
from loadtests.work.reach import Reach
from loadtests.work.texts import said, text


@dataclass(frozen=True)
class Params:
    """prompt_words: median. max_tokens: of an answer. reads_s: mean of the pause before a person goes on."""

    prompt_words: float = 20.0
    max_tokens: int = 32
    reads_s: float = 2.0


@dataclass
class _Person:
    """One conversation: who speaks, what was said last."""

    draw: random.Random
    conversation_id: str
    user_id: str
    began: float
    turns: list[str]
    parent: str = ""


class Converse:
    """owns: its channels."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._policy = reach.channel("policy")
        self._feedback = reach.channel("feedback")

    async def visit(self, number: int, visit: Visit) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        person = _Person(draw, uuid7(), f"user-{draw.randrange(2000):05d}", time.time(), [])
        first = await self._turn("turn", person, visit)
        await visit.pause(draw.expovariate(1 / self._params.reads_s))
        second = await self._turn("follow-up turn", person, visit)
        said_next = types.FollowUp(person.turns[2])
        await visit.step("follow-up", lambda left: recorded(self._feedback, [self._of(person, first, said_next)], left))
        await visit.pause(draw.expovariate(1 / self._params.reads_s))
        liked = thumb(draw.random() < 0.7)
        await visit.step("thumb", lambda left: recorded(self._feedback, [self._of(person, second, liked)], left))

    async def close(self) -> None:
        await asyncio.gather(self._policy.close(), self._feedback.close())

    async def _turn(self, name: str, person: _Person, visit: Visit) -> str:
        """The interaction's id."""
        person.turns.append(text(person.draw, self._params.prompt_words, most=40))
        request = policy_pb2.GenerateRequest(
            interaction_id=uuid7(),
            conversation_id=person.conversation_id,
            parent_interaction_id=person.parent,
            turn=len(person.turns) // 2,
            user_id=person.user_id,
            messages=said(*person.turns),
            sampling=common_pb2.Sampling(max_tokens=self._params.max_tokens),
        )
        request.conversation_started_at.FromMicroseconds(round(person.began * 1e6))

        async def call(left_s: float) -> None:
            person.turns.append((await answered(self._policy, request, left_s, visit))[0] or ".")

        await visit.step(name, call)
        person.parent = request.interaction_id
        return request.interaction_id

    @staticmethod
    def _of(person: _Person, interaction_id: str, kind: types.Kind) -> types.Feedback:
        return types.Feedback(
            event_id=uuid7(),
            interaction_id=interaction_id,
            conversation_id=person.conversation_id,
            user_id=person.user_id,
            kind=kind,
        )
