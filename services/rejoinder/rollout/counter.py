"""How many units a process has drawn for each arm: a count that needs no log, so that lost records show.

A unit counts once in a rollout, at the weight of its first draw. Buckets are nested, so a unit that was drawn at 5 %
is no new coin at 20 %, and one that comes often would count as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.core.arms import bucket
from rejoinder.core.types import ArmKind
from rejoinder.rollout.assignment import Assignment

#: Units remembered, about 6 MB. Enough to see a tenth of a canary's draws missing at a weight of 5 %.
MOST = 65_536


@dataclass(frozen=True)
class Drawn:
    """What one process has drawn in one rollout, in totals.

    epoch: names the process's life. salt: of the rollout's assignment. counts: by the canary's weight, the units and
    those of them that were drawn for the canary.
    """

    epoch: str = ""
    salt: str = ""
    counts: tuple[tuple[float, int, int], ...] = ()


class AssignmentCounter:
    """owns: the counts of the present rollout and the places of the units in them. Belongs to one event loop.

    A place is a hash under a salt of its own. When `most` are known, those of the upper half are forgotten and never
    counted again: whom it leaves out has nothing to do with the arm, nobody counts twice, and no total falls (the
    distinct sampling of Gibbons, VLDB 2001, with totals that stay).
    """

    def __init__(self, epoch: str, most: int = MOST) -> None:
        self._epoch = epoch
        self._most = most
        self._begin("")

    def add(self, salt: str, drawn: Assignment) -> bool:
        """Whether this draw counts. salt: that it was drawn with; another one than before begins a new rollout."""
        if not 0.0 < drawn.weight < 1.0:
            return False
        if salt != self._salt:
            self._begin(salt)
        place = bucket(drawn.unit, f"{salt}\x00counted")
        if place >= self._share or place in self._places:
            return False
        self._places.add(place)
        n, canary = self._counts.get(drawn.weight, (0, 0))
        self._counts[drawn.weight] = (n + 1, canary + (drawn.arm is ArmKind.CANARY))
        while len(self._places) > self._most:
            self._share /= 2
            self._places -= {known for known in self._places if known >= self._share}
        return True

    def drawn(self) -> Drawn:
        """The totals as they are now."""
        counts = tuple((weight, n, canary) for weight, (n, canary) in self._counts.items())
        return Drawn(self._epoch, self._salt, counts)

    def _begin(self, salt: str) -> None:
        self._salt = salt
        self._share = 1.0
        self._places: set[float] = set()
        self._counts: dict[float, tuple[int, int]] = {}
