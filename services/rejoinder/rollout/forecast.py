"""How many judged users a rollout still needs, and when: before anyone is exposed, and from the evidence so far.

The log wealth of a bet grows by E[log(1 + bet)] per judged unit. With today's wealths and that growth the mixture
reaches 1/alpha after a number of units that is solved for; a path that is looked at all the time crosses earlier than
its mean does, so the answer is the median of the inverse Gaussian with that mean: a median, not a promise. The growth
is taken at an equal (or given) canary and scores of the known mean and variance. The reply rate's own tests, several
times faster at the default margins, are not part of it. A plan that demands the audit waits for its sample: by the
share that was audited so far, before that by the default one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from rejoinder.core.audit import SHARE
from rejoinder.rollout.audit import AUDIT
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.sequential import CLIP, DELTAS, LAMBDAS, NI_CLIP, VARIANCE_FLOOR, log_mean_exp
from rejoinder.rollout.state import CANARY, SHADOW, Status


@dataclass(frozen=True)
class Scores:
    """Scores on stable: mean in (0, 1), variance at most mean (1 - mean)."""

    mean: float
    variance: float

    @classmethod
    def coin(cls, mean: float) -> Scores:
        """One yes-or-no judgement per unit: the widest spread there is."""
        return cls(mean, mean * (1 - mean))


@dataclass(frozen=True)
class StepForecast:
    """weight; judged units (of them canary) and seconds spent at this step; late: its deadline would pass first."""

    weight: float
    units: float
    canary: float
    seconds: float
    late: bool


@dataclass(frozen=True)
class Forecast:
    """judged_needed: units of both arms still to be judged, canary_needed of them on the canary; infinite where the
    present rate or the assumed difference never gets there. at: expected date, seconds since the epoch, or None.
    canary_to_catch: judged canary units until a drop of 10 points would be caught at the first remaining weight."""

    judged_needed: float
    canary_needed: float
    at: float | None
    steps: tuple[StepForecast, ...]
    canary_to_catch: float


def forecast(
    plan: RolloutPlan,
    *,
    now: float,
    judged_per_day: float,
    scores: Scores | None = None,
    difference: float = 0.0,
    evidence: Evidence | None = None,
    status: Status | None = None,
) -> Forecast:
    """judged_per_day: judged units of both arms, holdout left out. difference: assumed, canary - stable, in score."""
    scores = scores or (_seen_scores(evidence) if evidence else Scores.coin(plan.base_rate))
    logs = list(evidence.silence.tests["judged"].not_worse.logs) if evidence else [0.0] * len(LAMBDAS)
    arms = evidence.silence.arms if evidence else {}
    have = {name: float(arms[name].judged) if arms else 0.0 for name in ("stable", "canary")}
    audited, share = _audited(evidence, have)
    demanded = next((veto.least for veto in plan.vetoes if veto.name == AUDIT), 0)
    at_step, spent = 0, 0.0
    if status is not None and status.phase == CANARY:
        at_step, spent = status.step, now - status.steps[-1].since

    per_second, found = judged_per_day / 86400, []
    target = math.log(1 / plan.alpha)
    shown = log_mean_exp(logs) >= target
    waited = _shadow_left(plan, status, evidence)
    for index in range(at_step, len(plan.steps)):
        step = plan.steps[index]
        growth = not_worse_growth(scores, step.weight, plan.margin, difference)
        missing = max(
            _missing(plan.min_units, have, step.weight), _missing(demanded, audited, step.weight) / share, 0.0
        )
        if step.on_inconclusive == "pause" and not shown:
            missing, shown = max(missing, median_units(logs, growth, target)), True
        took = missing / per_second if per_second > 0 else (0.0 if missing == 0 else math.inf)
        seconds = max(took + plan.maturity_s * (missing > 0), step.duration_s - spent, 0.0)
        units = seconds * per_second if math.isfinite(seconds) else math.inf
        late = seconds + spent > step.deadline_s
        found.append(StepForecast(step.weight, units, units * step.weight, seconds, late))
        if not math.isfinite(seconds):
            break
        logs = [log + units * rate for log, rate in zip(logs, growth, strict=True)]
        have = _after(have, units, step.weight)
        audited = _after(audited, units * share, step.weight)
        waited, spent = waited + seconds, 0.0
    total = sum(step.units for step in found)
    reached = all(math.isfinite(step.seconds) for step in found)
    weight = plan.steps[at_step].weight
    return Forecast(
        judged_needed=total,
        canary_needed=sum(step.canary for step in found),
        at=now + waited if reached else None,
        steps=tuple(found),
        canary_to_catch=weight
        * median_units([0.0] * len(DELTAS), worse_growth(scores, weight, -0.10), math.log(1 / plan.alpha)),
    )


def _shadow_left(plan: RolloutPlan, status: Status | None, evidence: Evidence | None) -> float:
    """Seconds of the shadow phase before anybody is exposed; what holds it up is not foreseen."""
    if status is None or status.phase not in (SHADOW, CANARY):
        return plan.shadow_s
    if status.phase == CANARY:
        return 0.0
    return max(0.0, plan.shadow_s - (evidence.shadow.kept_s if evidence else 0.0))


def _missing(least: int, have: Mapping[str, float], weight: float) -> float:
    """Units of both arms until either has `least`; not above 0 where they have."""
    return max((least - have["canary"]) / weight, (least - have["stable"]) / (1 - weight))


def _after(have: Mapping[str, float], units: float, weight: float) -> dict[str, float]:
    return {"canary": have["canary"] + units * weight, "stable": have["stable"] + units * (1 - weight)}


def _audited(evidence: Evidence | None, judged: Mapping[str, float]) -> tuple[dict[str, float], float]:
    """Units of either arm with a second reading, and their share of the judged."""
    audit = evidence.vetoes.audit if evidence else None
    have = {name: float(audit.arms[name].units) if audit else 0.0 for name in ("stable", "canary")}
    seen, total = sum(have.values()), sum(judged.values())
    return have, min(seen / total, 1.0) if seen and total else SHARE


def _seen_scores(evidence: Evidence) -> Scores:
    moments = evidence.silence.tests["judged"].moments
    return Scores(moments.mean, moments.variance)


def _outcomes(scores: Scores, weight: float, difference: float) -> list[tuple[float, float, float]]:
    """(probability, A, y - m) of the four cases: arm by a two-valued score with this mean and variance."""
    mean = min(max(scores.mean, 1e-6), 1 - 1e-6)
    scale = min(1.0, math.sqrt(scores.variance / (mean * (1 - mean))))
    low, high = mean - scale * mean, mean + scale * (1 - mean)
    pooled = mean + weight * difference
    cases = []
    for a, share in ((1.0, weight), (0.0, 1 - weight)):
        p = (mean + a * difference - low) / (high - low) if high > low else 0.5
        p = min(max(p, 0.0), 1.0)
        cases += [(share * p, a, high - pooled), (share * (1 - p), a, low - pooled)]
    return cases


def not_worse_growth(scores: Scores, weight: float, margin: float, difference: float = 0.0) -> list[float]:
    """Expected log growth per judged unit of each bet on non-inferiority."""
    m = scores.mean + weight * difference
    bound = max(m / weight, (1 - m) / (1 - weight))
    cases = _outcomes(scores, weight, difference)
    gaps = [(p, (a / weight - (1 - a) / (1 - weight)) * gap + margin) for p, a, gap in cases]
    return [sum(p * math.log1p(NI_CLIP * lam * gap / bound) for p, gap in gaps) for lam in LAMBDAS]


def worse_growth(scores: Scores, weight: float, difference: float) -> list[float]:
    """Expected log growth per judged unit of each bet on harm."""
    m, v = scores.mean + weight * difference, max(scores.variance, VARIANCE_FLOOR)
    clip = CLIP * v / (max(m, 1 - m) * max(weight, 1 - weight))
    cases = _outcomes(scores, weight, difference)
    return [sum(p * math.log1p(min(d, clip) * (weight - a) * gap / v) for p, a, gap in cases) for d in DELTAS]


def median_units(logs: Sequence[float], growth: Sequence[float], target: float) -> float:
    """Median number of units until the mixture's log reaches target, for a path that is looked at after each."""
    mean = units_to(logs, growth, target)
    if mean == 0.0 or math.isinf(mean):
        return mean
    # At the best bet the log wealth's variance per unit is twice its growth, so shape / mean = distance / 2.
    return mean * _median_of_inverse_gaussian(mean * max(growth) / 2)


def _median_of_inverse_gaussian(shape: float) -> float:
    """Median of the inverse Gaussian distribution with mean 1 and this shape, in (0, 1)."""
    cdf = NormalDist().cdf

    def below(x: float) -> float:
        root = math.sqrt(shape / x)
        return cdf(root * (x - 1)) + math.exp(min(2 * shape, 700.0)) * cdf(-root * (x + 1))

    low, high = 1e-6, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < 0.5 else (low, middle)
    return high


def units_to(logs: Sequence[float], growth: Sequence[float], target: float) -> float:
    """Units until the mixture's log, growing evenly, reaches target; 0 if it is there, infinite if no bet grows."""

    def at(n: float) -> float:
        return log_mean_exp([log + n * rate for log, rate in zip(logs, growth, strict=True)])

    if at(0.0) >= target:
        return 0.0
    if max(growth) <= 0:
        return math.inf
    low, high = 0.0, 1.0
    while at(high) < target:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) < target else (low, middle)
    return high
