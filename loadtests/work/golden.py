"""Questions to the golden server, whose every answer is known before."""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.clients.channel import Rpc
from rejoinder.v1 import reward_pb2

from loadtests.golden.script import answer_to
from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach

SCORE = Rpc("/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse)


@dataclass(frozen=True)
class Params:
    pass


class Ask:
    """owns: its channel."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._channel = reach.channel("golden")

    async def visit(self, number: int, visit: Visit) -> None:
        async def call(left_s: float) -> None:
            answer = await self._channel.call(SCORE, reward_pb2.ScoreRequest(responses=[str(number)]), left_s)
            if list(answer.scores) != [answer_to(number)]:
                raise NotRight("WRONG_ANSWER")

        await visit.step("ask", call)

    async def close(self) -> None:
        await self._channel.close()
