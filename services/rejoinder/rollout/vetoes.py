"""Vetoes: satisfaction is never the only gate (F01).

A statistical veto is a sequential test of its own on one harm score per unit; k of them share one part of the error, so
each fires at `E >= k/alpha`. A deterministic check (parity, digest, malformed output, a probe's threshold) carries no
error: it is met, failed, or unmeasured, and only *met* lets a version be promoted. So a veto passes only when measured:
until `min_units` units of either arm were, nothing is promoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.core.errors import BadSettings
from rejoinder.rollout.audit import AUDIT, LEAST_UNITS, Audit
from rejoinder.rollout.sequential import SequentialTest, log_mean_exp
from rejoinder.rollout.units import UnitScore

#: Filled from the interaction's own status: failed and cancelled answers.
FAILURES = "failures"
#: Answers that break a norm of the plan's charter.
NORMS = "norms"
#: Answers that grow: longer than GROWTH times what stable's are.
LENGTH, GROWTH = "length", 2.0
#: Answers that refuse, as core/refusals finds them.
REFUSALS = "refusals"
MOST_LEAST = 1_000_000
ARMS = ("stable", "canary")


@dataclass(frozen=True)
class Veto:
    """name: of the measure on the turns. base_rate: its harm on stable, [0, 1]; the audit asks for none. two_sided: any
    difference fires; else only more harm does. min_units: measured units of either arm below which nothing is promoted;
    None is 20 for the audit and for norms, 1 for any other. sees: the audit's, (0, 1] (`audit.py`); None is its judge's
    own."""

    name: str
    base_rate: float = 0.05
    two_sided: bool = False
    min_units: int | None = None
    sees: float | None = None

    def __post_init__(self) -> None:
        if not self.name or not 0 <= self.base_rate <= 1:
            raise BadSettings("a veto needs a name and a base rate in [0, 1]")
        if self.min_units is not None and not 1 <= self.min_units <= MOST_LEAST:
            raise BadSettings(f"a veto's min_units must be from 1 to {MOST_LEAST}")
        if self.sees is not None and not (self.name == AUDIT and 0 < self.sees <= 1):
            raise BadSettings("sees is the audit's alone, and must lie in (0, 1]")

    @property
    def least(self) -> int:
        if self.min_units is not None:
            return self.min_units
        return LEAST_UNITS if self.name in (AUDIT, NORMS) else 1


@dataclass(frozen=True)
class Check:
    """A deterministic probe's result: ok None = unmeasured. value and bound are for people."""

    name: str
    ok: bool | None
    value: float | None = None
    bound: float | None = None


@dataclass
class HarmTally:
    """Sums of one arm under one veto. owns: them. units: on which it was measured."""

    units: int = 0
    harm: float = 0.0

    def add(self, harm: float) -> None:
        self.units += 1
        self.harm += harm


@dataclass(frozen=True)
class VetoArm:
    """One arm for people. units: measured. harm: their mean, None without any; of the audit by how much the first judge
    scores higher than the second, -1 to 1. unread: turns of the audit's sample without a second reading."""

    units: int
    harm: float | None
    unread: int = 0


@dataclass(frozen=True)
class VetoView:
    """One veto for people. log_e: the greatest so far, on the side that counts; log_needed: where it fires."""

    name: str
    log_e: float
    log_needed: float
    fired: bool
    measured: bool
    arms: Mapping[str, VetoArm]


class Vetoes:
    """owns: one test per statistical veto, a tally of harm per veto and arm, the audit where it is one of them."""

    def __init__(self, vetoes: Iterable[Veto]) -> None:
        self.vetoes = tuple(vetoes)
        if len({veto.name for veto in self.vetoes}) != len(self.vetoes):
            raise BadSettings("two vetoes share a name")
        self.tests = {veto.name: SequentialTest(1 - veto.base_rate) for veto in self.vetoes}
        self.tallies = {veto.name: _tallies() for veto in self.vetoes if veto.name != AUDIT}
        self.audit: Audit | None = None
        for veto in self.vetoes:
            if veto.name == AUDIT:
                self._take_up(Audit(veto.sees))

    def add(self, unit: UnitScore) -> None:
        found = dict(unit.measures) | {FAILURES: unit.failed}
        for name, tallies in self.tallies.items():
            if name in found:
                self.tests[name].add(1 - found[name], unit.canary, unit.weight)
                tallies["canary" if unit.canary else "stable"].add(found[name])
        if self.audit is not None:
            self.audit.add(unit)

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
        return tuple(veto.name for veto in self.vetoes if self._peak(veto) >= self._needed(veto, alpha))

    def unmeasured(self) -> tuple[str, ...]:
        """Names of the vetoes whose silence says nothing yet."""
        return tuple(veto.name for veto in self.vetoes if not self._measured(veto))

    def views(self, alpha: float) -> tuple[VetoView, ...]:
        """Every veto for people; alpha as in `fired`."""
        fired = self.fired(alpha)
        return tuple(
            VetoView(
                veto.name,
                self._peak(veto),
                self._needed(veto, alpha),
                veto.name in fired,
                self._measured(veto),
                self._arms(veto.name),
            )
            for veto in self.vetoes
        )

    def as_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for name, tallies in self.tallies.items():
            arms = {arm: vars(tally).copy() for arm, tally in tallies.items()}
            plain[name] = self.tests[name].as_dict() | {"arms": arms}
        return plain if self.audit is None else plain | {AUDIT: self.audit.as_dict()}

    def restore(self, value: Mapping[str, Any]) -> None:
        """Takes up the state of an earlier process with the same vetoes; BadSettings where they differ."""
        if set(value) != set(self.tests):
            raise BadSettings("the vetoes changed under a running rollout")
        for name in self.tallies:
            self.tests[name] = SequentialTest.from_dict(value[name])
            # A process of before these were counted has none: they begin at nothing.
            arms = value[name].get("arms", {})
            self.tallies[name] = {arm: HarmTally(**arms.get(arm, {})) for arm in ARMS}
        if self.audit is not None:
            self._take_up(Audit.from_dict(value[AUDIT], self.audit.sees))

    def _take_up(self, audit: Audit) -> None:
        self.audit = audit
        self.tests[AUDIT] = audit.test

    def _peak(self, veto: Veto) -> float:
        test = self.tests[veto.name]
        return max(test.worse.peak, test.better.peak) if veto.two_sided else test.worse.peak

    def _needed(self, veto: Veto, alpha: float) -> float:
        # Two sides are two tests at half the error each.
        return math.log((2 if veto.two_sided else 1) * len(self.vetoes) / alpha)

    def _measured(self, veto: Veto) -> bool:
        if veto.name == AUDIT and self.audit is not None:
            return self.audit.measured(veto.least)
        return all(tally.units >= veto.least for tally in self.tallies[veto.name].values())

    def _arms(self, name: str) -> dict[str, VetoArm]:
        if name == AUDIT and self.audit is not None:
            return {
                arm: VetoArm(t.units, t.kinder / t.units if t.units else None, t.sampled - t.read)
                for arm, t in self.audit.arms.items()
            }
        tallies = self.tallies[name]
        return {arm: VetoArm(t.units, t.harm / t.units if t.units else None) for arm, t in tallies.items()}


def _tallies() -> dict[str, HarmTally]:
    return {arm: HarmTally() for arm in ARMS}
