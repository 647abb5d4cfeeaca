"""What users did, recorded by an application."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.clients.channel import AsyncChannel, Rpc
from rejoinder.core import codec, types
from rejoinder.core.ids import uuid7
from rejoinder.v1 import feedback_pb2

from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach
from loadtests.work.texts import text

FEEDBACK = Rpc("/rejoinder.v1.FeedbackService/RecordFeedback", feedback_pb2.RecordResponse)


@dataclass(frozen=True)
class Params:
    """events: of one request."""

    events: int = 1


class Record:
    """owns: its channel."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._channel = reach.channel("feedback")

    async def visit(self, number: int, visit: Visit) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        events = [_event(draw) for _ in range(self._params.events)]

        async def call(left_s: float) -> None:
            await recorded(self._channel, events, left_s)

        await visit.step("record", call)

    async def close(self) -> None:
        await self._channel.close()


async def recorded(channel: AsyncChannel, events: Sequence[types.Feedback], left_s: float) -> None:
    """Raises NotRight unless the log has every one."""
    request = feedback_pb2.RecordFeedbackRequest(events=[codec.to_proto(event) for event in events])
    answer = await channel.call(FEEDBACK, request, left_s)
    if [result.outcome for result in answer.results] != [feedback_pb2.RECORD_OUTCOME_RECORDED] * len(events):
        raise NotRight("WRONG_ANSWER")


def thumb(up: bool) -> types.Rating:
    return types.Rating("thumb", number=1.0 if up else 0.0, scale_min=0.0, scale_max=1.0)


def _event(draw: random.Random) -> types.Feedback:
    return types.Feedback(
        event_id=uuid7(),
        interaction_id=uuid7(),
        user_id=f"user-{draw.randrange(2000):05d}",
        kind=types.FollowUp(text(draw, 12)) if draw.random() < 0.6 else thumb(draw.random() < 0.7),
    )
