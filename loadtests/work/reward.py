"""Scores of answers to one context."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rejoinder.clients.channel import Rpc
from rejoinder.v1 import reward_pb2

from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach
from loadtests.work.texts import said, text

SCORE = Rpc("/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse)


@dataclass(frozen=True)
class Params:
    """responses: of one request. context_words, answer_words: medians."""

    responses: int = 1
    context_words: float = 20.0
    answer_words: float = 45.0


class Score:
    """owns: its channel."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._channel = reach.channel("reward")

    async def visit(self, number: int, visit: Visit) -> None:
        draw, params = random.Random(f"{self._seed}/{number}"), self._params
        request = reward_pb2.ScoreRequest(
            messages=said(text(draw, params.context_words)),
            responses=[text(draw, params.answer_words) for _ in range(params.responses)],
        )

        async def call(left_s: float) -> None:
            answer = await self._channel.call(SCORE, request, left_s)
            if len(answer.scores) != params.responses:
                raise NotRight("WRONG_ANSWER")

        await visit.step("score", call)

    async def close(self) -> None:
        await self._channel.close()
