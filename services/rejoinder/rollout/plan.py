"""The rollout plan: what a recipe or a PolicyRollout may ask for, typed, with every refusal in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core import charter as charters
from rejoinder.core import typed
from rejoinder.core.arms import UNITS
from rejoinder.core.charter import Charter
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.shadow import SCORED
from rejoinder.rollout.vetoes import FAILURES, NORMS, Veto

APPROVALS = ("none", "canary", "promotion")
ON_DEADLINE = ("stable", "hold")
ON_INCONCLUSIVE = ("pause", "advance")
PROMOTE_ON = ("not_worse", "better")
SHADOW_UNMEASURED = ("hold", "advance")
#: Where arithmetic ends, far beyond any plan: the least share or error, ten years, and counts.
LEAST, LONGEST_S, MOST_STEPS, MOST_UNITS, MOST_TURNS = 1e-6, 10 * 365 * 86400.0, 100, 10_000_000, 10_000


@dataclass(frozen=True)
class PlanStep:
    """weight: the canary's share of users outside the holdout, (0, 1). duration_s: the least time spent here.
    deadline_s: the most; then `on_deadline` decides. on_inconclusive: `advance` lets a *measured* step without harm
    pass when its duration is over, so that a ramp can grow before it can conclude; never the last one."""

    weight: float
    duration_s: float = 3600.0
    deadline_s: float = 48 * 3600.0
    on_inconclusive: str = "pause"


@dataclass(frozen=True)
class RolloutPlan:
    """How a version comes to its users. Durations in seconds, below ten years; shares and scores in (0, 1).

    steps: exposures, weights rising; promotion follows the last. alpha: error of the whole verdict. margin: the loss of
    satisfaction that counts as none. min_units: judged units per arm below which nothing is called measured.
    on_deadline: `stable` rolls back, `hold` waits for a person. approval: where a person signs. promote_on: `not_worse`
    (margin shown) or `better` (superiority shown). maturity_s: the wait for a follow-up. turns_cap: judged turns per
    unit. base_rate, reply_rate: stable's, before the rollout. reply_margin: a shift of the reply rate that must be
    ruled out before a promotion on satisfaction alone. shadow_s: a phase before exposure, 0 for none, in which what a
    share of stable's users asked, shadow_share in (0, 1], is answered again by both versions, scored and shown to
    nobody; time that it stands does not count. Where a veto has fewer pairs than shadow_min_pairs at its end,
    shadow_unmeasured: `hold` goes on until it has enough or a person signs, `advance` exposes. watch_s: how long the
    replaced version stays loaded. lease_ttl_s: must exceed the engine's own fail-over. load_deadline_s: until every
    replica reports the canary's digest. charter: what the veto `norms` holds answers against; both, or neither where
    the charter's norms are reports alone. BadSettings with the field named where a value is out of range.
    """

    steps: tuple[PlanStep, ...] = (PlanStep(0.05), PlanStep(0.20), PlanStep(0.50))
    unit: str = "user"
    alpha: float = 0.05
    margin: float = 0.05
    min_units: int = 50
    on_deadline: str = "stable"
    approval: str = "none"
    promote_on: str = "not_worse"
    maturity_s: float = 1800.0
    turns_cap: int = 8
    base_rate: float = 0.7
    reply_rate: float = 0.5
    reply_margin: float = 0.08
    shadow_s: float = 0.0
    shadow_share: float = 0.05
    shadow_min_pairs: int = 50
    shadow_unmeasured: str = "hold"
    watch_s: float = 72 * 3600.0
    lease_ttl_s: float = 30.0
    load_deadline_s: float = 1800.0
    vetoes: tuple[Veto, ...] = field(default_factory=lambda: (Veto(FAILURES, 0.01),))
    charter: Charter | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.steps) <= MOST_STEPS:
            raise BadSettings(f"rollout.steps must be from 1 to {MOST_STEPS}")
        for i, step in enumerate(self.steps):
            _within(f"steps[{i}].weight", step.weight, 1)
            _positive(f"steps[{i}].deadline_s", step.deadline_s)
            if not 0 <= step.duration_s <= step.deadline_s:
                raise BadSettings(f"rollout.steps[{i}].duration_s must lie in [0, deadline_s]")
            _one_of(f"steps[{i}].on_inconclusive", step.on_inconclusive, ON_INCONCLUSIVE)
        if any(b.weight <= a.weight for a, b in zip(self.steps, self.steps[1:], strict=False)):
            raise BadSettings("rollout.steps must rise in weight")
        if self.steps[-1].on_inconclusive == "advance":
            raise BadSettings("rollout.steps: the last step never advances on an inconclusive verdict")
        for name in ("alpha", "margin", "reply_margin"):
            _within(name, getattr(self, name), 0.5)
        for name in ("base_rate", "reply_rate"):
            _within(name, getattr(self, name), 1)
        for name in ("maturity_s", "lease_ttl_s", "load_deadline_s"):
            _positive(name, getattr(self, name))
        for name in ("shadow_s", "watch_s"):
            if not 0 <= getattr(self, name) <= LONGEST_S:
                raise BadSettings(f"rollout.{name} must lie in [0, {LONGEST_S:.0f}]")
        if not LEAST <= self.shadow_share <= 1:
            raise BadSettings("rollout.shadow_share must lie in (0, 1]")
        counts = {"min_units": MOST_UNITS, "turns_cap": MOST_TURNS, "shadow_min_pairs": MOST_UNITS}
        for name, most in counts.items():
            if not 1 <= getattr(self, name) <= most:
                raise BadSettings(f"rollout.{name} must be from 1 to {most}")
        _one_of("unit", self.unit, UNITS)
        _one_of("on_deadline", self.on_deadline, ON_DEADLINE)
        _one_of("approval", self.approval, APPROVALS)
        _one_of("promote_on", self.promote_on, PROMOTE_ON)
        _one_of("shadow_unmeasured", self.shadow_unmeasured, SHADOW_UNMEASURED)
        if len({veto.name for veto in self.vetoes}) != len(self.vetoes):
            raise BadSettings("rollout.vetoes: two share a name")
        if self.shadow_s and not any(veto.name in SCORED for veto in self.vetoes):
            raise BadSettings(f"rollout.shadow_s: nothing is scored; add one of {', '.join(SCORED)} to rollout.vetoes")
        _check_charter(self.charter, any(veto.name == NORMS for veto in self.vetoes))

    @classmethod
    def from_mapping(cls, value: Any) -> RolloutPlan:
        """From a recipe's `rollout:` block or a spec; an unknown key or a wrong type is BadSettings, named."""
        if not isinstance(value, Mapping):
            raise BadSettings("rollout must be a mapping")
        plain = dict(value)
        for name, make in (("steps", PlanStep), ("vetoes", Veto)):
            given = plain.get(name, ())
            if not isinstance(given, (list, tuple)):
                raise BadSettings(f"rollout.{name} must be a list")
            if name in plain:
                plain[name] = tuple(_record(f"rollout.{name}[{i}]", make, item) for i, item in enumerate(given))
        if plain.get("charter") is not None:
            plain["charter"] = charters.of(plain["charter"])
        return _record("rollout", cls, plain)


def _check_charter(charter: Charter | None, wanted: bool) -> None:
    """A veto without norms would never fire, norms without a veto would stop nothing: either would read as consent."""
    has = charter is not None and bool(charter.vetoes)
    if wanted and not has:
        raise BadSettings("rollout.vetoes: norms needs a rollout.charter with a norm of severity veto")
    if has and not wanted:
        raise BadSettings("rollout.charter: its norms are vetoes; add {name: norms} to rollout.vetoes")


def _record(where: str, make: type, value: Any) -> Any:
    try:
        return typed.make(make, value)
    except TypeError as error:
        raise BadSettings(f"{where}: {error}") from None


def _within(name: str, value: float, high: float) -> None:
    if not LEAST <= value <= high - LEAST:
        raise BadSettings(f"rollout.{name} must lie in (0, {high})")


def _positive(name: str, value: float) -> None:
    if not LEAST <= value <= LONGEST_S:
        raise BadSettings(f"rollout.{name} must be above 0 and at most {LONGEST_S:.0f}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise BadSettings(f"rollout.{name} must be one of {', '.join(known)}")
