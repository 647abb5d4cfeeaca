"""All that a rollout has measured so far, in one incremental state that survives a restart bit-equal.

The error of the whole verdict is spent on E-values: satisfaction among the judged .6, DSAT per interaction .2, all
vetoes .2; where a shadow phase goes before, half of the vetoes' part is its own. The weighted mean of those of shown
answers is one more supermartingale, so `harm` at 1/alpha keeps the error of the whole without a union bound: whenever
one part alone reaches 1/(its share of alpha) the mean is there too, and never later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.interval import Interval
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.sample_ratio import CountedRatio, SampleRatio
from rejoinder.rollout.shadow import ShadowEvidence
from rejoinder.rollout.silence import Silence
from rejoinder.rollout.units import UnitScore
from rejoinder.rollout.vetoes import Vetoes

#: How the whole verdict's alpha is spent.
PARTS: Mapping[str, float] = {"judged": 0.6, "no_dsat": 0.2, "vetoes": 0.2}
#: What each test that guards a promotion against silence gets: beside them, for it never rolls anything back.
SILENCE_PART = 0.2


def parts(plan: RolloutPlan) -> Mapping[str, float]:
    """How a plan spends its alpha. A shadow phase is a look at the same harms before the canary: the vetoes' part is
    shared with it, so the error of both together stays what it was."""
    half = PARTS["vetoes"] / 2
    return {**PARTS, "vetoes": half, "shadow": half} if plan.shadow_s else PARTS


class Evidence:
    """owns: the processes of silence, the vetoes, both sample ratios, the interval, the peak of the whole harm, and the
    cursor (closes_at, unit) of the last unit taken. Adding a unit is O(1). `assigned` and `shadow` are fed beside the
    units, with what the processes that draw, and that answer unseen, have counted."""

    def __init__(self, plan: RolloutPlan) -> None:
        self.silence = Silence(plan.base_rate, plan.margin, plan.reply_rate, plan.reply_margin)
        self.vetoes = Vetoes(plan.vetoes)
        self.shadow = ShadowEvidence(plan.vetoes)
        self._parts = {name: share for name, share in parts(plan).items() if name != "shadow"}
        self.assigned, self.matured = CountedRatio(), SampleRatio()
        self.interval = Interval(plan.base_rate, plan.alpha)
        self.cursor: tuple[float, str] = (float("-inf"), "")
        self.first_close: float | None = None
        self.harm_peak = 0.0

    @property
    def log_e_harm(self) -> float:
        """Log of the weighted mean of all E-values for harm."""
        logs = {name: self.silence.tests[name].worse.log_e for name in ("judged", "no_dsat")}
        logs["vetoes"] = self.vetoes.log_e
        top = max(logs.values())
        return top + math.log(sum(share * math.exp(logs[name] - top) for name, share in self._parts.items()))

    def add(self, unit: UnitScore) -> None:
        """The next matured unit; InvalidArgument if it does not come after the cursor."""
        if (unit.closes_at, unit.unit) <= self.cursor:
            raise InvalidArgument("units are taken in the order of their windows' close", field="closes_at")
        self.matured.add(unit.weight, 1, int(unit.canary))
        self.silence.add(unit)
        self.vetoes.add(unit)
        if unit.judged is not None:
            self.interval.add(unit.judged, unit.canary, unit.weight)
        self.harm_peak = max(self.harm_peak, self.log_e_harm)
        self.cursor = (unit.closes_at, unit.unit)
        if self.first_close is None:
            self.first_close = unit.closes_at

    def extend(self, units: Iterable[UnitScore]) -> int:
        """Takes those that come after the cursor, in order; returns how many."""
        taken = 0
        for unit in units:
            if (unit.closes_at, unit.unit) > self.cursor:
                self.add(unit)
                taken += 1
        return taken

    def as_dict(self) -> dict[str, Any]:
        return {
            "silence": self.silence.as_dict(),
            "vetoes": self.vetoes.as_dict(),
            "shadow": self.shadow.as_dict(),
            "assigned": self.assigned.as_dict(),
            "matured": self.matured.as_dict(),
            "interval": self.interval.as_dict(),
            "cursor": list(self.cursor) if self.first_close is not None else None,
            "first_close": self.first_close,
            "harm_peak": self.harm_peak,
        }

    @classmethod
    def from_dict(cls, plan: RolloutPlan, value: Mapping[str, Any]) -> Evidence:
        """BadSettings where the plan's vetoes are not those the state was made with."""
        evidence = cls(plan)
        evidence.silence = Silence.from_dict(value["silence"])
        evidence.vetoes.restore(value["vetoes"])
        # A process of before there was a shadow phase has none.
        if "shadow" in value:
            evidence.shadow.restore(value["shadow"])
        evidence.assigned = CountedRatio.from_dict(value["assigned"])
        evidence.matured = SampleRatio.from_dict(value["matured"])
        evidence.interval = Interval.from_dict(value["interval"])
        if value["cursor"] is not None:
            evidence.cursor = (value["cursor"][0], value["cursor"][1])
        evidence.first_close, evidence.harm_peak = value["first_close"], value["harm_peak"]
        return evidence
