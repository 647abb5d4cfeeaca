"""From one id to everything that made it and everything it made."""

from __future__ import annotations

from rejoinder.console.desk import Visit
from rejoinder.console.pages.part import Part, part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.core.errors import PASSING, NotFound
from rejoinder.runtime.looks import Looks, Seen


class Trace:
    """owns: nothing."""

    def __init__(self, sources: Sources, looks: Looks) -> None:
        self._sources = sources
        self._looks = looks

    async def show(self, visit: Visit) -> Shown:
        name = visit.query.get("id", "").strip()
        found: Part[list] = Part(None)
        if name:
            found = await part(self._sources.ledger.trace(name, visit.tenant), (*PASSING, NotFound))
        if found.value:
            # What was typed may be anything; what was found is an id.
            seen = Seen("trace", visit.tenant, [found.value[0].id])
            await self._looks.record(visit.caller.name, seen)
        status = {"": 200, "NOT_FOUND": 404}.get(found.why, 503)
        return Shown("trace.html", {"name": name, "found": found}, status)
