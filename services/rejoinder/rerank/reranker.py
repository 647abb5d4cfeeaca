"""Scores, arranges, and records the slate before anybody sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rejoinder.core.clock import Clock
from rejoinder.core.errors import UnknownRow
from rejoinder.core.ids import check_name, uuid7
from rejoinder.core.types import (
    ArmKind,
    AttemptStatus,
    Interaction,
    RankedCandidate,
    Ranking,
    Sampling,
    Served,
)
from rejoinder.rerank.arrange import Slate, deterministic, plackett_luce
from rejoinder.rerank.checks import (
    Limits,
    check_candidates,
    check_interaction,
    check_texts,
    checked_places,
)
from rejoinder.rerank.rankers import Ranker
from rejoinder.runtime.batching.textmodel import NOBODY, Caller

#: Resolves True when the record is safe, False when it was dropped; never raises.
Record = Callable[[Interaction], Awaitable[bool]]


@dataclass(frozen=True)
class Ask:
    """interaction: what the caller said about the call (tenant, ids, user, consent); its messages are what is known
    of the user, oldest first.

    candidates: (id, text). top_n: 0 = all. ranker: "" is the default. seed: of the draw; 0 = a fresh one.
    """

    interaction: Interaction
    query: str
    candidates: Sequence[tuple[str, str]]
    top_n: int = 0
    ranker: str = ""
    temperature: float = 0.0
    seed: int = 0
    caller: Caller = field(default=NOBODY)


class Reranker:
    """owns: the generator of fresh seeds. rankers: loaded ones by name, the default first."""

    def __init__(
        self,
        rankers: Mapping[str, Ranker],
        record: Record,
        limits: Limits,
        clock: Clock,
        seeds: np.random.Generator,
        on_slate: Callable[[bool], None] = lambda recorded: None,
    ) -> None:
        self._rankers = rankers
        self._record = record
        self._limits = limits
        self._clock = clock
        self._seeds = seeds
        self._on_slate = on_slate

    async def rerank(self, ask: Ask) -> Interaction:
        """The interaction as it was logged; its `ranking` is the slate to show, in order.

        A log that is away delays nobody: the slate is shown and its loss is counted. Raises EmptyField, TooLong,
        BadEncoding, UnknownRow, InvalidArgument, and what the models' queues raise.
        """
        began = self._clock.monotonic()
        name = ask.ranker or next(iter(self._rankers))
        ranker, places = self._checked(ask, name)
        texts = [text for _, text in ask.candidates]
        scores = await ranker.score(ask.interaction.messages, ask.query, texts, ask.caller)
        seed = (ask.seed or int(self._seeds.integers(1, 2**63))) if ask.temperature else 0
        slate = await asyncio.to_thread(_arranged, scores, places, ask.temperature, seed)
        logged = self._logged(ask, name, ranker.digest, scores, slate, seed, began)
        self._on_slate(await self._record(logged))
        return logged

    def _checked(self, ask: Ask, name: str) -> tuple[Ranker, int]:
        check_texts(ask.interaction, ask.query, ask.candidates, self._limits)
        check_candidates(ask.candidates, self._limits)
        check_interaction(ask.interaction, self._clock.now())
        # An error quotes the name, and gRPC carries errors of a few kilobytes.
        check_name("ranker", name)
        if name not in self._rankers:
            raise UnknownRow("ranker", name, tuple(self._rankers))
        return self._rankers[name], checked_places(ask.top_n, len(ask.candidates), ask.temperature, self._limits)

    def _logged(
        self, ask: Ask, ranker: str, digest: str, scores: np.ndarray, slate: Slate, seed: int, began: float
    ) -> Interaction:
        shown = tuple(
            RankedCandidate(*ask.candidates[index], float(scores[index]), place, propensity)
            for place, (index, propensity) in enumerate(zip(slate.order, slate.propensity, strict=True), start=1)
        )
        now, given = self._clock.now(), ask.interaction
        return replace(
            given,
            event_id=uuid7(now),
            interaction_id=given.interaction_id or uuid7(now),
            attempt_id=uuid7(now),
            served=Served("rerank", ranker, digest, ArmKind.STABLE, 1.0),
            status=AttemptStatus.COMPLETED,
            occurred_at=now,
            # This service answers for the record from here on: no quota at ingest refuses what was shown.
            accepted_at=now,
            latency=self._clock.monotonic() - began,
            sampling=Sampling(temperature=ask.temperature, seed=seed),
            ranking=Ranking(ask.query, shown),
            source="serve",
        )


def _arranged(scores: np.ndarray, places: int, temperature: float, seed: int) -> Slate:
    if temperature == 0:
        return deterministic(scores, places)
    return plackett_luce(scores, places, temperature, np.random.default_rng(seed))
