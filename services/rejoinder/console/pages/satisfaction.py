"""Satisfaction by version, arm, reason, extractor, day or source."""

from __future__ import annotations

from rejoinder.console.desk import Visit
from rejoinder.console.pages.part import part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.core.clock import Clock

GROUPS = ("version", "arm", "reason", "extractor", "day", "source")
#: Days back, by what the form offers; "" is everything.
SINCE = {"": None, "1": 1.0, "7": 7.0, "30": 30.0}
_DAY_S = 86_400.0


class Satisfaction:
    """owns: nothing."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock

    async def show(self, visit: Visit) -> Shown:
        by = visit.query.get("by", "version")
        by = by if by in GROUPS else "version"
        since = visit.query.get("since", "7")
        days = SINCE.get(since)
        start = None if days is None else self._clock.now() - days * _DAY_S
        found = await part(self._sources.ledger.satisfaction(by, visit.tenant, start))
        return Shown(
            "satisfaction.html",
            {"found": found, "by": by, "groups": GROUPS, "since": since if since in SINCE else "", "sinces": SINCE},
        )
