import math
import random
import statistics
from dataclasses import replace

import pytest
from rejoinder.core.arms import Step, Version
from rejoinder.core.types import Polarity
from rejoinder.rollout.audit import AUDIT
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.forecast import Scores, forecast, not_worse_growth, units_to, worse_growth
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.sequential import SequentialTest
from rejoinder.rollout.state import Status
from rejoinder.rollout.units import Audited, UnitScore
from rejoinder.rollout.vetoes import Veto

T0, DAY = 1_700_000_000.0, 86400.0
PLAN = RolloutPlan(steps=(PlanStep(0.5, 3600, 90 * DAY),), base_rate=0.8, margin=0.1, vetoes=())


def stopping(stable: float, canary: float, w: float, process: str, limit: int, seed: int) -> int:
    draw, test = random.Random(seed), SequentialTest(0.8, 0.1)
    for n in range(1, limit + 1):
        a = draw.random() < w
        test.add(float(draw.random() < (canary if a else stable)), a, w)
        if getattr(test, process).log_e >= math.log(20):
            return n
    return limit


@pytest.mark.parametrize("w", [0.2, 0.5])
def test_the_forecast_is_near_the_median_of_simulated_rollouts(w):
    plan = replace(PLAN, steps=(PlanStep(w, 0.0, 90 * DAY),), maturity_s=1.0)
    told = forecast(plan, now=T0, judged_per_day=1000).judged_needed
    median = statistics.median(stopping(0.8, 0.8, w, "not_worse", 3000, seed) for seed in range(40))
    assert told == pytest.approx(median, rel=0.25)


def test_the_harm_forecast_is_near_the_median_too():
    told = forecast(PLAN, now=T0, judged_per_day=1000).canary_to_catch / 0.5
    median = statistics.median(stopping(0.8, 0.7, 0.5, "worse", 3000, seed) for seed in range(40))
    assert told == pytest.approx(median, rel=0.25)


def test_a_version_at_the_margin_is_never_expected():
    told = forecast(PLAN, now=T0, judged_per_day=1000, difference=-0.1)
    assert told.at is None
    assert math.isinf(told.judged_needed)


def test_without_traffic_there_is_no_date():
    assert forecast(PLAN, now=T0, judged_per_day=0.0).at is None


def test_a_shadow_phase_comes_before_and_only_what_is_left_of_it_counts():
    plan = replace(PLAN, shadow_s=3600.0, vetoes=(Veto("failures"),))
    plain = forecast(replace(plan, shadow_s=0.0), now=T0, judged_per_day=100.0).at
    status = Status("s", Version("r41", "d41"), Version("r42", "d42"), 1, T0)
    for phase, now, kept in (("idle", T0, 0.0), ("shadow", T0 + 900, 600.0), ("shadow", T0 + 9000, 3600.0)):
        at, evidence = replace(status, phase=phase), Evidence(plan)
        evidence.shadow.kept(T0, 30.0)
        evidence.shadow.kept(T0 + kept, 3600.0)
        found = forecast(plan, now=now, judged_per_day=100.0, status=at, evidence=evidence)
        assert found.at == pytest.approx(plain + 3600.0 - kept + now - T0)


def test_more_traffic_brings_the_date_nearer_and_less_spread_needs_fewer():
    slow, fast = (forecast(PLAN, now=T0, judged_per_day=rate) for rate in (100, 1000))
    assert fast.at < slow.at
    assert fast.canary_needed == pytest.approx(slow.canary_needed, rel=0.3)
    calm = forecast(PLAN, now=T0, judged_per_day=1000, scores=Scores(0.8, 0.08))
    assert calm.judged_needed < fast.judged_needed


def test_evidence_so_far_counts_and_a_shown_rollout_needs_only_its_time():
    evidence, draw = Evidence(PLAN), random.Random(1)
    whole = forecast(PLAN, now=T0, judged_per_day=500).judged_needed
    status = Status("s", Version("a"), Version("b"), 7, T0, phase="canary", step=0)
    for i in range(3000):
        y = float(draw.random() < 0.85)
        evidence.add(UnitScore(f"u{i:05d}", i % 2 == 0, 0.5, T0 + i, 1, y, 1.0, y, 1 - y))
        if i == 100:
            part = forecast(PLAN, now=T0, judged_per_day=500, evidence=evidence)
    assert part.judged_needed < whole
    shown = forecast(
        PLAN,
        now=T0 + 3600,
        judged_per_day=500,
        evidence=evidence,
        status=replace(status, steps=(Step(0.5, T0),)),
    )
    assert (shown.judged_needed, shown.at) == (0.0, T0 + 3600)


def test_a_ramp_that_may_advance_reaches_the_weight_at_which_it_can_conclude_sooner():
    ramp = (PlanStep(0.05, 3600, 90 * DAY), PlanStep(0.5, 3600, 90 * DAY))
    paused = forecast(replace(PLAN, steps=ramp), now=T0, judged_per_day=1000)
    growing = forecast(
        replace(PLAN, steps=(replace(ramp[0], on_inconclusive="advance"), ramp[1])), now=T0, judged_per_day=1000
    )
    assert growing.at < paused.at
    assert len(growing.steps) == 2


def test_a_step_whose_deadline_would_pass_first_says_so():
    late = replace(PLAN, steps=(PlanStep(0.5, 0.0, 3600.0),))
    assert forecast(late, now=T0, judged_per_day=100).steps[0].late
    assert not forecast(late, now=T0, judged_per_day=1e6).steps[0].late


def test_growth_is_negative_for_every_bet_under_its_own_null():
    scores = Scores.coin(0.8)
    assert all(rate < 0 for rate in not_worse_growth(scores, 0.3, 0.05, -0.05))
    assert all(rate < 0 for rate in worse_growth(scores, 0.3, 0.0))
    assert units_to([5.0], [0.0], 3.0) == 0.0
    assert math.isinf(units_to([0.0], [-1.0], 3.0))


def test_a_demanded_audit_waits_for_its_sample_by_the_share_that_was_seen():
    plan = replace(PLAN, vetoes=(Veto(AUDIT, min_units=40),), maturity_s=1e-6, steps=(PlanStep(0.5, 0.0, 90 * DAY),))
    # 40 of either arm, at the default share of judged users.
    assert forecast(plan, now=T0, judged_per_day=1000).judged_needed == pytest.approx(2 * 40 / 0.05)
    assert forecast(PLAN, now=T0, judged_per_day=1000).judged_needed < 1000
    evidence = Evidence(plan)
    for i in range(40):
        audited = (Audited(Polarity.SAT, Polarity.SAT),) if i % 4 < 2 else ()
        evidence.add(UnitScore(f"u{i:03d}", i % 2 == 0, 0.5, float(i), 1, 1.0, 1.0, 1.0, 0.0, audited=audited))
    left = forecast(plan, now=T0, judged_per_day=1000, scores=Scores(0.8, 0.02), evidence=evidence)
    assert left.judged_needed == pytest.approx(2 * (40 - 10) / 0.5)
