"""What holds whatever row applies: the arms table, its lease, and repeating a decision."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.rollout.decide import decide
from rejoinder.rollout.lease import ArmsView
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.state import CreateServed, Observed, Pointer, Replica, Status, WriteArms
from rejoinder.rollout.verdict import Outcome, Verdict

GOOD, NEW = Version("r41", "d41"), Version("r42", "d42")
T0 = 1_700_000_000.0
PLAN = RolloutPlan(steps=(PlanStep(0.05, 100, 400), PlanStep(0.5, 100, 400)), lease_ttl_s=30)
READY = (Replica("a", (("r42", "d42"),)),)
STEPS = (Step(0.05, T0),)
LIVE = Status("s42", GOOD, NEW, 7, T0, phase="canary", step=0, steps=STEPS)


def world(**fields) -> Observed:
    return replace(Observed(ArmsTable("assist", 1, 10, stable=GOOD), Pointer(7, GOOD), 1, READY), **fields)


def live_arms(**fields) -> ArmsTable:
    decision = decide(PLAN, LIVE, world(), T0)
    return replace(written(decision)[0], **fields)


def written(decision) -> list[ArmsTable]:
    return [action.table for action in decision.actions if isinstance(action, WriteArms)]


def test_nothing_is_written_while_the_table_is_right_and_the_lease_is_young():
    assert decide(PLAN, LIVE, world(arms=live_arms()), T0 + 9.9).actions == ()


def test_a_third_of_the_lease_later_it_is_renewed_under_the_same_generation():
    arms = live_arms()
    (renewed,) = written(decide(PLAN, LIVE, world(arms=arms), T0 + 10))
    assert renewed.order == arms.order
    assert renewed.lease == Lease(30, T0 + 10, T0 + 40)
    assert replace(renewed, lease=arms.lease, written_at=arms.written_at) == arms


def test_a_new_leader_writes_its_term_at_once_with_the_next_generation():
    arms = live_arms()
    (table,) = written(decide(PLAN, LIVE, world(arms=arms, term=2), T0 + 1))
    assert table.order == (2, arms.generation + 1)


def test_a_table_that_lost_the_canary_is_repaired():
    (table,) = written(decide(PLAN, LIVE, world(), T0 + 5))
    assert (table.canary, table.steps, table.generation) == (NEW, STEPS, 11)


def test_without_an_engine_replicas_fall_to_stable_by_themselves():
    clock = ManualClock(T0)
    view = ArmsView(world().arms, clock)
    view.caught_up()
    arms = world().arms
    for _ in range(6):
        for table in written(decide(PLAN, LIVE, world(arms=arms), clock.now())):
            arms = table
            view.receive(table, clock.now())
        assert view.grant().ok
        clock.advance(10)
    clock.advance(30)
    assert view.grant().why == "lapsed"


def test_a_lapsed_canary_comes_back_when_the_engine_does():
    arms = live_arms()
    (table,) = written(decide(PLAN, LIVE, world(arms=arms), T0 + 300))
    assert table.lease.renewed_at == T0 + 300


def test_stable_in_the_table_is_what_the_registry_serves():
    drifted = world(arms=replace(world().arms, stable=Version("r40", "d40")))
    idle = Status("s42", GOOD, NEW, 7, T0)
    (table,) = written(decide(PLAN, idle, replace(drifted, replicas=()), T0))
    assert (table.stable, table.canary) == (GOOD, None)


VERDICTS = st.sampled_from(
    [
        None,
        Verdict(Outcome.WORSE, ("satisfaction",)),
        Verdict(Outcome.UNMEASURED, ("units",)),
        Verdict(Outcome.INCONCLUSIVE, ("satisfaction",)),
        Verdict(Outcome.INCONCLUSIVE, ("satisfaction",), promotable=True),
    ]
)
LOOKS = st.lists(
    st.tuples(VERDICTS, st.booleans(), st.booleans(), st.booleans(), st.floats(0, 150)), min_size=1, max_size=30
)


@given(LOOKS)
@settings(max_examples=150, deadline=None)
def test_whatever_happens_no_version_is_promoted_without_a_promotable_verdict_and_a_decision_repeats(looks):
    status, seen, now, allowed = Status("s42", GOOD, NEW, 7, T0), world(), T0, False
    for verdict, ready, suspended, frozen, passed in looks:
        now += passed
        replicas = READY if ready else (Replica("a"),)
        seen = replace(seen, verdict=verdict, replicas=replicas, suspended=suspended, frozen=frozen)
        decision = decide(PLAN, status, seen, now)
        assert decide(PLAN, status, seen, now) == decision
        allowed = verdict is not None and verdict.promotable and ready and not suspended and not frozen
        for action in decision.actions:
            if isinstance(action, CreateServed) and action.version == NEW:
                assert allowed
                seen = replace(seen, served=Pointer(action.generation, action.version))
            elif isinstance(action, CreateServed):
                seen = replace(seen, served=Pointer(action.generation, action.version))
            if isinstance(action, WriteArms):
                assert action.table.order >= seen.arms.order
                seen = replace(seen, arms=action.table)
        status = decision.status
        if verdict is not None and verdict.outcome is Outcome.WORSE:
            assert seen.arms.canary is None
