"""Silence is no consent: four processes side by side, so that users who fall silent cannot make a version look better.

Satisfaction among the judged, DSAT and SAT per matured interaction, and the reply rate. A version whose displeased
users stop replying raises the first and lowers the last. When the reply rate moves, satisfaction may still speak for
*worse*, but nothing is promoted unless both per-interaction rates are shown to be not worse. That it did *not* move is
shown too, not presumed: reply and its mirror, no_reply, must both be within the reply margin (else a fall that the
two-sided test has not caught yet is promoted first).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.rollout.sequential import SequentialTest
from rejoinder.rollout.units import UnitScore

PROCESSES = ("judged", "no_dsat", "sat", "reply", "no_reply")


@dataclass
class Tally:
    """Sums of one arm. owns: them."""

    units: int = 0
    judged: int = 0
    score: float = 0.0
    replied: float = 0.0

    def add(self, unit: UnitScore) -> None:
        self.units += 1
        self.replied += unit.replied
        if unit.judged is not None:
            self.judged += 1
            self.score += unit.judged


@dataclass(frozen=True)
class ArmView:
    """One arm for people. mean: of the judged, None without any. bounds: mean if every unit that was not judged had
    been displeased / pleased, the widest that silence allows."""

    units: int
    judged: int
    mean: float | None
    reply_rate: float | None
    bounds: tuple[float, float]


class Silence:
    """owns: the tests and a tally per arm. Scores are turned so that more is better in each."""

    def __init__(self, base_rate: float, margin: float, reply_rate: float = 0.5, reply_margin: float = 0.08) -> None:
        """base_rate: stable's satisfaction among the judged; reply_rate: stable's reply rate; margins in score."""
        self.margin = margin
        self.tests = {
            "judged": SequentialTest(base_rate, margin),
            "no_dsat": SequentialTest(1 - (1 - base_rate) * reply_rate, margin),
            "sat": SequentialTest(base_rate * reply_rate, margin),
            "reply": SequentialTest(reply_rate, reply_margin),
            "no_reply": SequentialTest(1 - reply_rate, reply_margin),
        }
        self.arms = {"stable": Tally(), "canary": Tally()}

    def add(self, unit: UnitScore) -> None:
        """One matured unit, judged or silent."""
        # A margin on the judged is a margin on all matured turns times the share that replies, as known before this
        # unit: without the factor a fall of 10 points that hides in silence would fit into the margin.
        margin = self.margin * self.tests["reply"].moments.mean
        if unit.judged is not None:
            self.tests["judged"].add(unit.judged, unit.canary, unit.weight)
        self.tests["no_dsat"].add(1 - unit.dsat, unit.canary, unit.weight, margin)
        self.tests["sat"].add(unit.sat, unit.canary, unit.weight, margin)
        self.tests["reply"].add(unit.replied, unit.canary, unit.weight)
        self.tests["no_reply"].add(1 - unit.replied, unit.canary, unit.weight)
        self.arms["canary" if unit.canary else "stable"].add(unit)

    def view(self, arm: str) -> ArmView:
        """`stable` or `canary` in figures."""
        tally = self.arms[arm]
        if not tally.units:
            return ArmView(0, 0, None, None, (0.0, 1.0))
        silent = tally.units - tally.judged
        return ArmView(
            units=tally.units,
            judged=tally.judged,
            mean=tally.score / tally.judged if tally.judged else None,
            reply_rate=tally.replied / tally.units,
            bounds=(tally.score / tally.units, (tally.score + silent) / tally.units),
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "margin": self.margin,
            "tests": {name: test.as_dict() for name, test in self.tests.items()},
            "arms": {name: vars(tally).copy() for name, tally in self.arms.items()},
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Silence:
        silence = cls(0.5, value["margin"])
        silence.tests = {name: SequentialTest.from_dict(value["tests"][name]) for name in PROCESSES}
        silence.arms = {name: Tally(**tally) for name, tally in value["arms"].items()}
        return silence
