"""A rollout as people see it: figures, what is still needed, and the date at the present rate."""

from __future__ import annotations

import math
from dataclasses import replace

from rejoinder.clients.rollouts import ArmFigures, Hop, NormFigures, Rollout, Shadow, ShadowVeto, VetoArm, VetoFigures
from rejoinder.clients.rollouts import Verdict as Shown
from rejoinder.rollout.evidence import parts
from rejoinder.rollout.forecast import Forecast, Scores, forecast
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.sample_ratio import CountedRatio, SampleRatio
from rejoinder.rollout.state import IDLE, SHADOW
from rejoinder.rollout.vetoes import VetoView
from rejoinder.rollouts.engine import Seen
from rejoinder.rollouts.shadowing import shadow_views
from rejoinder.rollouts.trial import Trial

DAY_S = 86_400.0
#: A log E-value beyond it is shown as this one: a float has an end.
LOG_MOST = math.log(1e300)
#: A rollout that would end later than this has no date: it would leave the calendar, and nobody's patience is as long.
FORESEEN_S = 100 * 365 * DAY_S


def report(seen: Seen) -> Rollout:
    """All of GetRollout's answer."""
    arms, trial = seen.arms, seen.trial
    base = Rollout(
        policy=seen.policy,
        term=arms.term,
        generation=arms.generation,
        phase="frozen" if seen.frozen else IDLE,
        stable_version=arms.stable.version,
        held="fenced" if seen.fenced else "",
        step=-1,
    )
    if trial is None:
        return base
    status, verdict = trial.status, seen.verdict
    shown = replace(
        base,
        phase="frozen" if seen.frozen else status.shown,
        canary_version=status.canary.version,
        weight=arms.weight,
        held=base.held or status.held,
        reason=status.reason,
        step=status.step,
    )
    if trial.open:
        left = outlook(trial, seen.now)
        shown = replace(shown, judged_needed=_count(left.judged_needed), expected_at=left.at)
    charter = trial.plan.charter
    if charter is not None:
        shown = replace(shown, charter=charter.digest, charter_version=charter.version)
    if trial.plan.shadow_s:
        shown = replace(shown, shadow=_shadow(trial, seen.now))
    if verdict is None:
        return shown
    stable, canary = (_figures(trial, name) for name in ("stable", "canary"))
    low, high = verdict.snapshot["interval"]
    both = stable.judged and canary.judged
    evidence = trial.evidence
    judged = evidence.silence.tests["judged"]
    return replace(
        shown,
        verdict=Shown(verdict.outcome.value.upper()),
        reasons=verdict.reasons,
        difference=canary.mean - stable.mean if both else 0.0,
        low=low,
        high=high,
        judged_canary=canary.judged,
        judged_stable=stable.judged,
        stable=stable,
        canary=canary,
        e_worse=_e(evidence.harm_peak),
        e_better=_e(judged.better.log_e),
        e_ni=_e(judged.not_worse.log_e),
        e_needed=1 / trial.plan.alpha,
        assigned=_hop(evidence.assigned),
        matured=_hop(evidence.matured),
        vetoes=tuple(_veto(view) for view in evidence.vetoes.views(parts(trial.plan)["vetoes"] * trial.plan.alpha)),
        norms=_norms(trial),
    )


def outlook(trial: Trial, now: float) -> Forecast:
    """judged_needed: units of both arms whatever the rate; at: by the rate since the first step, None without one."""
    status, arms = trial.status, trial.evidence.silence.arms
    judged = sum(tally.judged for tally in arms.values())
    spent = trial.reading.after - status.steps[0].since if status.steps else 0.0
    rate = judged / spent * DAY_S if judged and spent > 0 else 0.0
    dated = forecast(trial.plan, now=now, judged_per_day=rate, evidence=trial.evidence, status=status)
    return replace(dated, judged_needed=needed(trial.plan, trial, now).judged_needed, at=foreseen(dated.at, now))


def foreseen(at: float | None, now: float) -> float | None:
    """A date that can be told; None for one that cannot."""
    return at if at is not None and at - now <= FORESEEN_S else None


def needed(plan: RolloutPlan, trial: Trial | None = None, now: float = 0.0, scores: Scores | None = None) -> Forecast:
    """What must be judged, without those that come by the way while a step's time or a window passes."""
    steps = tuple(replace(step, duration_s=0.0) for step in plan.steps)
    bare = replace(plan, steps=steps, maturity_s=1e-6)
    evidence, status = (trial.evidence, trial.status) if trial else (None, None)
    return forecast(bare, now=now, judged_per_day=DAY_S, scores=scores, evidence=evidence, status=status)


def _count(units: float) -> int:
    return math.ceil(units) if math.isfinite(units) else 0


def _e(log: float) -> float:
    return math.exp(min(log, LOG_MOST))


def _hop(ratio: SampleRatio | CountedRatio) -> Hop:
    units, canary = (sum(each) for each in zip(*ratio.counts.values(), strict=True)) if ratio.counts else (0, 0)
    expected = sum(weight * n for weight, (n, _) in ratio.counts.items())
    return Hop(units, canary, expected, _e(ratio.peak))


def _veto(view: VetoView) -> VetoFigures:
    arms = {name: VetoArm(arm.units, arm.harm or 0.0, arm.unread) for name, arm in view.arms.items()}
    return VetoFigures(
        view.name,
        _e(view.log_e),
        _e(view.log_needed),
        view.fired,
        view.measured,
        arms["stable"],
        arms["canary"],
    )


def _shadow(trial: Trial, now: float) -> Shadow:
    plan, status, found = trial.plan, trial.status, trial.evidence.shadow
    total, left = found.total, plan.shadow_s - found.kept_s
    return Shadow(
        began_at=status.shadow_at,
        ends_at=now + left if status.phase == SHADOW and left > 0 else None,
        pairs=total.pairs,
        min_pairs=plan.shadow_min_pairs,
        vetoes=tuple(
            ShadowVeto(
                veto.name,
                _e(veto.log_e),
                _e(veto.log_needed),
                veto.fired,
                veto.count.pairs,
                veto.count.shown + veto.count.both,
                veto.count.candidate + veto.count.both,
                veto.measured,
            )
            for veto in shadow_views(trial.evidence, plan)
        ),
        dropped=total.dropped,
        stable_tokens=total.shown_tokens / total.pairs if total.pairs else 0.0,
        canary_tokens=total.candidate_tokens / total.pairs if total.pairs else 0.0,
    )


def _norms(trial: Trial) -> tuple[NormFigures, ...]:
    charter, counts = trial.plan.charter, trial.reading.norms
    of = {arm: counts.get(arm, {}) for arm in ("stable", "canary")}
    return tuple(
        NormFigures(norm.id, norm.severity, *of["stable"].get(norm.id, (0, 0)), *of["canary"].get(norm.id, (0, 0)))
        for norm in (charter.norms if charter else ())
    )


def _figures(trial: Trial, arm: str) -> ArmFigures:
    view = trial.evidence.silence.view(arm)
    return ArmFigures(view.units, view.judged, view.mean or 0.0, view.reply_rate or 0.0, *view.bounds)
