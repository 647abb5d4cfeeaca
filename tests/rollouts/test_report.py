"""rollouts/report: what is still needed is a count of people, whatever the rate; the date is by the present rate."""

from __future__ import annotations

import pytest
from rejoinder.rollout.forecast import Scores
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollouts.report import needed, outlook, report

PLAN = RolloutPlan(steps=(PlanStep(0.5, 3600.0, 9e6),), base_rate=0.8, margin=0.1)


def test_what_is_needed_does_not_depend_on_how_long_steps_last() -> None:
    longer = RolloutPlan(steps=(PlanStep(0.5, 36_000.0, 9e6),), base_rate=0.8, margin=0.1, maturity_s=7200.0)
    assert needed(PLAN).judged_needed == pytest.approx(needed(longer).judged_needed)
    assert needed(PLAN, scores=Scores(0.8, 0.05)).judged_needed < needed(PLAN).judged_needed


def test_the_date_comes_with_the_first_judged_users_and_is_by_their_rate(world) -> None:
    engine = world.engine(margin=0.1, steps=[{"weight": 0.5, "duration_s": 1.0, "deadline_s": 9000.0}])
    engine.start("r42")
    assert outlook(engine.seen().trial, world.clock.now()).at is None
    world.live(engine, 10, people=2)
    slow = outlook(engine.seen().trial, world.clock.now())
    world.live(engine, 6, people=10)
    fast = outlook(engine.seen().trial, world.clock.now())
    assert fast.judged_needed < slow.judged_needed
    assert world.clock.now() < fast.at < slow.at


def test_a_rollout_that_is_over_needs_nobody(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3, people=1)
    engine.command("abort", world.table.generation, "ann")
    shown = report(engine.seen())
    assert (shown.judged_needed, shown.expected_at, shown.phase) == (0, None, "aborted")
