"""The rollout: both arms in figures, the verdict as it came about, and a person's signature or end."""

from __future__ import annotations

from rejoinder.clients.rollouts import SIGNED, AsyncRolloutClient
from rejoinder.console.chart import interval_over_time
from rejoinder.console.desk import Visit
from rejoinder.console.pages.overview import rolled
from rejoinder.console.pages.part import Part, part
from rejoinder.console.render import Shown
from rejoinder.console.sources import Sources
from rejoinder.core.clock import Clock
from rejoinder.core.errors import FailedPrecondition, InvalidArgument, NotFound

#: Phases of a rollout that a person may end.
OPEN = frozenset({"idle", "shadow", "canary", "paused", "promoted", "frozen"})


class RolloutPage:
    """owns: nothing."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock

    async def show(self, visit: Visit) -> Shown:
        found, trail = await rolled(self._sources)
        rollout = found.value
        # A promoted version is watched for a while, and can be taken back; the engine knows when that is over.
        live = (
            rollout is not None
            and bool(rollout.canary_version)
            and rollout.phase in OPEN
            and (not rollout.reason or rollout.phase == "promoted")
        )
        waits = live and visit.decides and rollout is not None and rollout.held in SIGNED
        seen = await part(self._ledger_is_there(visit)) if waits else Part(True)
        return Shown(
            "rollout.html",
            {
                "now": self._clock.now(),
                "found": found,
                "drawing": interval_over_time(trail),
                "trail": trail,
                # Nobody signs while what the verdict is read off cannot be seen; ending is the safe way and stays.
                "may_sign": waits and seen.value is not None,
                "may_end": visit.decides and live,
                "blind": seen.value is None,
                "done": visit.query.get("done", ""),
            },
        )

    async def approve(self, visit: Visit) -> Shown:
        """Signs, where a signature is waited for: a promotion over the verdict is the command line's. Raises Aborted
        where the table has moved on, FailedPrecondition."""
        engine, policy = self._engine(), self._sources.policy
        await self._ledger_is_there(visit)
        generation = _generation(visit)
        if (await engine.get(policy)).held not in SIGNED:
            raise FailedPrecondition("no signature is waited for")
        await engine.promote(policy, generation)
        return Shown.onward("/rollout?done=approved")

    async def abort(self, visit: Visit) -> Shown:
        """Everybody back to stable, for good."""
        await self._engine().abort(self._sources.policy, _generation(visit))
        return Shown.onward("/rollout?done=aborted")

    async def _ledger_is_there(self, visit: Visit) -> bool:
        """Asked for no answers, so that it costs nothing. Raises Unavailable, …."""
        await self._sources.ledger.satisfaction("", visit.tenant, self._clock.now())
        return True

    def _engine(self) -> AsyncRolloutClient:
        if self._sources.rollouts is None:
            raise NotFound("this console has no rollout engine")
        return self._sources.rollouts


def _generation(visit: Visit) -> int:
    text = visit.form.get("generation", "")
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise InvalidArgument("the form must name the table that was decided on", field="generation")
    return int(text)
