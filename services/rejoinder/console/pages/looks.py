"""Who looked at users' words: what this console recorded, and what the ledger did."""

from __future__ import annotations

from rejoinder.clients.ledger import LOOK_NAMES, LooksWanted
from rejoinder.console.desk import Visit
from rejoinder.console.pages.part import part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.core.ids import check_name
from rejoinder.runtime.looks import Look, Looks

MOST = 200


class LooksPage:
    """owns: nothing."""

    def __init__(self, sources: Sources, looks: Looks) -> None:
        self._sources = sources
        self._looks = looks

    async def show(self, visit: Visit) -> Shown:
        id, user = visit.query.get("id", "").strip(), visit.query.get("user", "").strip()
        check_name("id", id)
        check_name("user", user)
        own = await self._looks.last(MOST, visit.tenant, id, user)
        asked = LooksWanted(visit.tenant, id, user, MOST)
        found = await part(self._sources.ledger.looks(asked))
        # Both may write to one file.
        rows = {Look(**vars(look)) for look in found.value or ()} | {look.brief(LOOK_NAMES) for look in own}
        newest = sorted(rows, key=lambda look: (look.at, look.by, look.ids), reverse=True)[:MOST]
        return Shown("looks.html", {"rows": newest, "found": found, "id": id, "user": user})
