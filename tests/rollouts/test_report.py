"""rollouts/report: what is still needed is a count of people, whatever the rate; the date is by the present rate."""

from __future__ import annotations

import pytest
from rejoinder.clients.ledger import Judge
from rejoinder.clients.rollouts import Rollout
from rejoinder.rollout.forecast import Scores
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollouts.report import needed, outlook, report

from tests.rollouts.world import Taste

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


@pytest.mark.parametrize(("pleased", "phase"), [(0.9, "promoted"), (0.4, "aborted")])
def test_the_e_values_shown_are_those_that_decided(world, pleased: float, phase: str) -> None:
    """The control is each fate's other value: it has not reached what decides."""
    world.tastes["r42"] = Taste(pleased=pleased)
    engine = world.engine()
    engine.start("r42")
    before: list[Rollout] = []
    while (shown := report(engine.seen())).phase != phase:
        before.append(shown)
        world.live(engine, 1, people=20)
    assert shown.e_needed == pytest.approx(20.0)
    reached = {"promoted": shown.e_ni, "aborted": shown.e_worse}
    assert reached.pop(phase) >= shown.e_needed
    assert all(value < shown.e_needed for value in reached.values())
    assert before[2].e_worse < before[2].e_needed > before[2].e_ni


def test_a_hop_shows_what_came_through_and_what_the_weights_make_expected(world) -> None:
    steps = [{"weight": 0.2, "duration_s": 5.0, "on_inconclusive": "advance"}, {"weight": 0.5, "duration_s": 900.0}]
    world.tastes["r42"] = Taste(lost=0.4)
    engine = world.engine(steps=steps)
    engine.start("r42")
    world.live(engine, 40, people=30)
    shown, ratio = report(engine.seen()), engine.seen().trial.evidence.matured
    assert set(ratio.counts) == {0.2, 0.5}
    assert shown.matured.expected_canary == pytest.approx(0.2 * ratio.counts[0.2][0] + 0.5 * ratio.counts[0.5][0])
    assert shown.matured.canary < shown.matured.expected_canary - 50
    assert abs(shown.assigned.canary - shown.assigned.expected_canary) < 50
    assert shown.assigned.units > shown.matured.units
    assert shown.matured.e >= 1000 > shown.assigned.e


def test_an_e_value_beyond_all_floats_is_still_a_number(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3)
    engine.seen().trial.evidence.harm_peak = 1e6
    assert report(engine.seen()).e_worse == pytest.approx(1e300)


def test_every_veto_shows_its_evidence_its_n_and_whether_it_was_measured(world) -> None:
    world.people.second = Judge("audit-lexicon", "1")
    world.tastes["r42"] = Taste(refuses=0.5)
    engine = world.engine(vetoes=[{"name": "refusals"}, {"name": "audit", "min_units": 10_000}])
    engine.start("r42")
    assert report(engine.seen()).vetoes == ()
    world.live(engine, until=lambda: "veto:refusals" in report(engine.seen()).reasons)
    refusals, audit = report(engine.seen()).vetoes
    assert (refusals.name, refusals.fired, refusals.measured) == ("refusals", True, True)
    assert refusals.e >= refusals.e_needed == pytest.approx(200.0)
    assert refusals.canary.units > 0
    assert refusals.canary.harm > refusals.stable.harm == 0.0
    assert (audit.name, audit.fired, audit.measured) == ("audit", False, False)
    assert 0 < audit.stable.units <= refusals.stable.units
