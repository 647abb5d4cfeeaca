"""The first page: what is served and judged, how satisfied people are, how much of what they said was understood."""

from __future__ import annotations

import asyncio

from rejoinder.clients.rollouts import Rollout, TrailPoint
from rejoinder.console.chart import interval_over_time
from rejoinder.console.desk import Visit
from rejoinder.console.pages.part import Part, part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.core.clock import Clock

#: Rounds shown here, and days whose answers count: the ledger walks each of them.
ROUNDS, DAYS = 5, 7


class Overview:
    """owns: nothing."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock

    async def show(self, visit: Visit) -> Shown:
        ledger, sources = self._sources.ledger, self._sources
        since = self._clock.now() - DAYS * 86_400.0
        versions, arms, rollout, rounds = await asyncio.gather(
            part(ledger.satisfaction("version", visit.tenant, since)),
            part(ledger.satisfaction("arm", visit.tenant, since)),
            rolled(sources),
            part(sources.look(lambda files: files.claims()[:ROUNDS])),
        )
        found, trail = rollout
        return Shown(
            "overview.html",
            {
                "policy": sources.policy,
                "now": self._clock.now(),
                "days": DAYS,
                "versions": versions,
                "arms": arms,
                "rollout": found,
                "drawing": interval_over_time(trail),
                "trail": trail,
                "rounds": rounds,
            },
        )


async def rolled(sources: Sources) -> tuple[Part[Rollout], tuple[TrailPoint, ...]]:
    """The rollout and how its verdict came about; no value and no reason where the deployment has no engine."""
    if sources.rollouts is None:
        return Part(None), ()
    rollout, trail = await asyncio.gather(
        part(sources.rollouts.get(sources.policy)), part(sources.rollouts.trail(sources.policy))
    )
    return rollout, trail.value or ()
