"""Candidates ordered for a query."""

from __future__ import annotations

import random
from dataclasses import dataclass

from rejoinder.clients.channel import Rpc
from rejoinder.core.ids import uuid7
from rejoinder.v1 import rerank_pb2

from loadtests.openloop.generator import NotRight, Visit
from loadtests.work.reach import Reach
from loadtests.work.texts import text

RERANK = Rpc("/rejoinder.v1.RerankService/Rerank", rerank_pb2.RerankResponse, idempotent=False)


@dataclass(frozen=True)
class Params:
    """candidates: of one request. query_words, candidate_words: medians. ranker: "" is the default."""

    candidates: int = 10
    query_words: float = 8.0
    candidate_words: float = 60.0
    ranker: str = ""


class Rerank:
    """owns: its channel."""

    def __init__(self, params: Params, reach: Reach, seed: int) -> None:
        self._params = params
        self._seed = seed
        self._channel = reach.channel("rerank")

    async def visit(self, number: int, visit: Visit) -> None:
        draw, params = random.Random(f"{self._seed}/{number}"), self._params
        request = rerank_pb2.RerankRequest(
            interaction_id=uuid7(),
            user_id=f"user-{draw.randrange(2000):05d}",
            query=text(draw, params.query_words),
            ranker=params.ranker,
            candidates=[
                rerank_pb2.Candidate(id=f"doc-{at}", text=text(draw, params.candidate_words))
                for at in range(params.candidates)
            ],
        )

        async def call(left_s: float) -> None:
            answer = await self._channel.call(RERANK, request, left_s)
            if {one.id for one in answer.ranked} != {one.id for one in request.candidates}:
                raise NotRight("WRONG_ANSWER")

        await visit.step("rerank", call)

    async def close(self) -> None:
        await self._channel.close()
