"""Vetoes: satisfaction is never the only gate (F01).

A statistical veto is a sequential test of its own on one harm score per unit; k of them share one part of the error, so
each fires at `E >= k/alpha`. A deterministic check (parity, digest, malformed output, a probe's threshold) carries no
error: it is met, failed, or unmeasured, and only *met* lets a version be promoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.core.errors import BadSettings
from rejoinder.rollout.sequential import SequentialTest, log_mean_exp
from rejoinder.rollout.units import UnitScore

#: Filled from the interaction's own status: failed and cancelled answers.
FAILURES = "failures"


@dataclass(frozen=True)
class Veto:
    """name: of the measure on the turns. base_rate: its harm on stable, [0, 1]. two_sided: any difference fires (the
    audit's differential error); else only more harm does."""

    name: str
    base_rate: float = 0.05
    two_sided: bool = False

    def __post_init__(self) -> None:
        if not self.name or not 0 <= self.base_rate <= 1:
            raise BadSettings("a veto needs a name and a base rate in [0, 1]")


@dataclass(frozen=True)
class Check:
    """A deterministic probe's result: ok None = unmeasured. value and bound are for people."""

    name: str
    ok: bool | None
    value: float | None = None
    bound: float | None = None


class Vetoes:
    """owns: one test per statistical veto."""

    def __init__(self, vetoes: Iterable[Veto]) -> None:
        self.vetoes = tuple(vetoes)
        if len({veto.name for veto in self.vetoes}) != len(self.vetoes):
            raise BadSettings("two vetoes share a name")
        self.tests = {veto.name: SequentialTest(1 - veto.base_rate) for veto in self.vetoes}

    def add(self, unit: UnitScore) -> None:
        found = dict(unit.measures) | {FAILURES: unit.failed}
        for name, test in self.tests.items():
            if name in found:
                test.add(1 - found[name], unit.canary, unit.weight)

    @property
    def log_e(self) -> float:
        """Log of the mean E-value for harm over all vetoes; 0 without any."""
        if not self.vetoes:
            return 0.0
        both = (v.name for v in self.vetoes if v.two_sided)
        logs = {veto.name: self.tests[veto.name].worse.log_e for veto in self.vetoes}
        return log_mean_exp(list((logs | {name: self.tests[name].log_e_two_sided for name in both}).values()))

    def fired(self, alpha: float) -> tuple[str, ...]:
        """Names of the vetoes that ever reached k/alpha; alpha is the part of the error that all of them share."""
        if not self.vetoes:
            return ()
        threshold = math.log(len(self.vetoes) / alpha)
        names = []
        for veto in self.vetoes:
            test = self.tests[veto.name]
            # Two sides are two tests at half the error each.
            sides = (test.worse.peak, test.better.peak) if veto.two_sided else (test.worse.peak,)
            if max(sides) >= threshold + math.log(len(sides)):
                names.append(veto.name)
        return tuple(names)

    def as_dict(self) -> dict[str, Any]:
        return {name: test.as_dict() for name, test in self.tests.items()}

    def restore(self, value: Mapping[str, Any]) -> None:
        """Takes up the state of an earlier process with the same vetoes; BadSettings where they differ."""
        if set(value) != set(self.tests):
            raise BadSettings("the vetoes changed under a running rollout")
        self.tests = {veto.name: SequentialTest.from_dict(value[veto.name]) for veto in self.vetoes}
