"""The audit: does the first judge err in favour of one arm? A second judge reads a sample of what the first has read.

A turn's score is the second judge's less what the first one's word makes expected, `second - sees * first`, tested
between the arms like every other score. *Worse* means: on the canary the second judge is less pleased than the first
one's words would have it; either the first flatters the canary, or the canary is worse in a way that it does not see.

sees: by how much the second judge's mean moves where the first's moves by one and both are honest. The plain difference
(sees = 1) is no error yet: a second judge that sees half of what the first sees would fall behind on every version that
is truly better, and veto it. A number below the true one fires less; it is never unfair to a better version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.core.types import Polarity
from rejoinder.rollout.sequential import SequentialTest
from rejoinder.rollout.units import UnitScore

#: The veto's name in a plan.
AUDIT = "audit"
#: Units of either arm that a second judge must have read before its silence says anything.
LEAST_UNITS = 20
#: Most of the sample that may be without a reading in either arm. What an endpoint does not answer is hardly a fair
#: draw (long answers run out of time), so while more of it is missing nothing is tested and the audit is unmeasured.
MOST_UNREAD = 0.2
SCORES: Mapping[Polarity, float] = {Polarity.SAT: 1.0, Polarity.NONE: 0.5, Polarity.DSAT: 0.0}


@dataclass
class AuditTally:
    """Sums of one arm. owns: them. units: tested. sampled, read: turns. kinder: sum over units of how much higher the
    first judge scores, -1 to 1 each."""

    units: int = 0
    sampled: int = 0
    read: int = 0
    kinder: float = 0.0

    @property
    def heard(self) -> bool:
        """Whether enough of the sample has a reading."""
        return self.sampled - self.read <= MOST_UNREAD * self.sampled


class Audit:
    """owns: the test between the arms and a tally per arm. sees: of every turn; None takes each turn's own."""

    def __init__(self, sees: float | None = None) -> None:
        self.sees = sees
        self.test = SequentialTest(0.5)
        self.arms = {"stable": AuditTally(), "canary": AuditTally()}

    def add(self, unit: UnitScore) -> None:
        """One matured unit; most have no turn in the sample."""
        if not unit.audited:
            return
        tally = self.arms["canary" if unit.canary else "stable"]
        read = [turn for turn in unit.audited if turn.first in SCORES and turn.second in SCORES]
        # Before the unit's own: a bet is made on what was known. A judge that is silent about one arm would leave a
        # test of the other arm alone, which takes a mood that changes for a difference between them.
        heard = self._heard
        tally.sampled += len(unit.audited)
        tally.read += len(read)
        if not read or not heard:
            return
        pairs = [(SCORES[turn.first], SCORES[turn.second], self.sees or turn.sees) for turn in read]
        rest = sum(second - sees * first for first, second, sees in pairs) / len(pairs)
        self.test.add((1 + rest) / 2, unit.canary, unit.weight)
        tally.units += 1
        tally.kinder += sum(first - second for first, second, _ in pairs) / len(pairs)

    def measured(self, least: int) -> bool:
        """Whether enough units of both arms were read, and enough of what was sampled."""
        return self._heard and all(tally.units >= least for tally in self.arms.values())

    @property
    def _heard(self) -> bool:
        return all(tally.heard for tally in self.arms.values())

    def as_dict(self) -> dict[str, Any]:
        return {"test": self.test.as_dict(), "arms": {name: vars(tally).copy() for name, tally in self.arms.items()}}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], sees: float | None = None) -> Audit:
        audit = cls(sees)
        audit.test = SequentialTest.from_dict(value["test"])
        audit.arms = {name: AuditTally(**tally) for name, tally in value["arms"].items()}
        return audit
