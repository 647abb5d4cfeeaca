"""Rounds: how each ended and why, what its stages reported, how its pairs differ from another's."""

from __future__ import annotations

from typing import Any

from rejoinder.console.desk import Visit
from rejoinder.console.pages.part import part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Files, Sources
from rejoinder.core.errors import NotFound


class Rounds:
    """owns: nothing."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    async def many(self, visit: Visit) -> Shown:
        found = await part(self._sources.look(lambda files: files.claims()))
        return Shown("rounds.html", {"policy": self._sources.policy, "found": found})

    async def one(self, visit: Visit) -> Shown:
        """Raises NotFound."""
        text = visit.call.path["number"]
        if not text.isascii() or not text.isdecimal() or len(text) > 8:
            raise NotFound("a round is named by its number")
        number, against = int(text), visit.query.get("against", "")
        other = int(against) if against.isascii() and against.isdecimal() and len(against) < 9 else number - 1
        values = await self._sources.look(lambda files: _report(files, number, other))
        return Shown("round.html", {"policy": self._sources.policy, "number": number, "other": other, **values})


def _report(files: Files, number: int, other: int) -> dict[str, Any]:
    known = {claim.number: claim for claim in files.claims()}
    if number not in known:
        raise NotFound(f"round {number} was never begun")
    claim = known[number]
    sets = {each: _described(files, each) for each in (number, other) if each in known}
    names = sorted({name for found in sets.values() for name in found}, key=lambda name: (name != "pairs", name))
    return {
        "claim": claim,
        "numbers": sorted(set(known) - {number}),
        "report": files.report(number) if claim.outcome else None,
        "sets": sets,
        "rows": names,
    }


def _described(files: Files, number: int) -> dict[str, Any]:
    try:
        return files.described(number)
    except NotFound:
        return {}
