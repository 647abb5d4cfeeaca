"""Who looked at users' words."""

from __future__ import annotations

from rejoinder.console.desk import Visit
from rejoinder.console.looks import Looks
from rejoinder.console.render import Shown

MOST = 200


class LooksPage:
    """owns: nothing."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks

    async def show(self, visit: Visit) -> Shown:
        return Shown("looks.html", {"rows": await self._looks.last(MOST, frozenset({visit.tenant}))})
