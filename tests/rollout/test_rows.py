"""One test per row of `decide`'s table, by a small engine that performs what is decided."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.rollout import decide as module
from rejoinder.rollout.decide import decide
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.rows import ROWS
from rejoinder.rollout.shadow import ShadowView
from rejoinder.rollout.state import Command, CreateServed, Load, Observed, Pointer, Replica, Status, Unload, WriteArms
from rejoinder.rollout.verdict import Outcome, Verdict

GOOD, NEW, OTHER = Version("r41", "d41"), Version("r42", "d42"), Version("r43", "d43")
T0 = 1_000_000.0
PLAN = RolloutPlan(
    steps=(PlanStep(0.05, 100, 1000), PlanStep(0.5, 100, 1000)), watch_s=500, load_deadline_s=300, lease_ttl_s=30
)
PROMOTABLE = Verdict(Outcome.INCONCLUSIVE, ("satisfaction",), promotable=True)
INCONCLUSIVE = Verdict(Outcome.INCONCLUSIVE, ("satisfaction",))
SILENT = Verdict(Outcome.INCONCLUSIVE, ("response_rate",))
UNMEASURED = Verdict(Outcome.UNMEASURED, ("units",))
ENOUGH = ShadowView(50, kept_s=60.0)
WORSE = Verdict(Outcome.WORSE, ("satisfaction",))
READY = (Replica("a", (("r41", "d41"), ("r42", "d42"))), Replica("b", (("r41", "d41"), ("r42", "d42"))))
BARE = (Replica("a", (("r41", "d41"),)), READY[1])


class Engine:
    """Performs decisions as an engine does. owns: status, the observed world, time, the last actions."""

    def __init__(self, plan: RolloutPlan = PLAN, **observed) -> None:
        arms = ArmsTable(policy="assist", stable=GOOD, term=1, generation=10)
        self.plan, self.now = plan, T0
        self.status = Status(salt="s42", stable=GOOD, canary=NEW, served_generation=7, began_at=T0)
        self.seen = replace(Observed(arms, Pointer(7, GOOD), term=1, replicas=READY), **observed)
        self.actions: list[object] = []

    def tick(self, seconds: float = 0.0, **observed) -> str:
        self.now += seconds
        self.seen = replace(self.seen, **observed)
        decision = decide(self.plan, self.status, self.seen, self.now)
        for action in decision.actions:
            if isinstance(action, WriteArms):
                self.seen = replace(self.seen, arms=action.table)
            if isinstance(action, CreateServed) and action.generation == self.seen.served.generation + 1:
                self.seen = replace(self.seen, served=Pointer(action.generation, action.version))
        # The status goes through JSON at every step, as it does through a database or a custom resource.
        self.status = Status.from_dict(json.loads(json.dumps(decision.status.as_dict())))
        assert self.status == decision.status
        self.actions = list(decision.actions)
        return decision.row

    def say(self, kind: str, generation: int | None = None) -> dict:
        made_on = self.seen.arms.generation if generation is None else generation
        return {"commands": (Command(kind, made_on, by="anna"),)}

    def of(self, kind: type) -> list:
        return [action for action in self.actions if isinstance(action, kind)]


def exposed(plan: RolloutPlan = PLAN, **observed) -> Engine:
    engine = Engine(plan, **observed)
    assert engine.tick() == "first_step"
    return engine


def at_last_step(plan: RolloutPlan = PLAN) -> Engine:
    engine = exposed(plan)
    assert engine.tick(100, verdict=PROMOTABLE) == "step"
    return engine


def promoted() -> Engine:
    engine = at_last_step()
    assert engine.tick(100) == "promote"
    assert engine.tick() == "promoted"
    return engine


def test_the_rows_are_those_of_the_docstring_in_that_order():
    named = [line.split("|")[1].strip() for line in module.__doc__.splitlines() if line.startswith("| ")][1:]
    assert named == [name for name, _ in ROWS]


def test_every_row_has_a_test_here():
    told = {name.removeprefix("test_row_") for name in globals() if name.startswith("test_row_")}
    assert {name for name, _ in ROWS} == {row for row, _ in ROWS if any(t.startswith(row) for t in told)}


def test_row_fenced_an_old_leader_does_nothing():
    engine = exposed()
    engine.seen = replace(engine.seen, arms=replace(engine.seen.arms, term=2))
    before = engine.status
    assert engine.tick(60, verdict=WORSE) == "fenced"
    assert (engine.actions, engine.status) == ([], before)


def test_row_closed_a_rollout_that_is_over_touches_nothing():
    engine = exposed()
    engine.tick(verdict=WORSE)
    engine.seen = replace(
        engine.seen, arms=replace(engine.seen.arms, canary=OTHER, steps=(Step(0.1, T0),), lease=Lease())
    )
    assert engine.tick(1) == "closed"
    assert engine.actions == []


def test_row_reverted_the_rollback_of_a_promoted_version_ends_when_the_last_good_one_is_served_f13():
    engine = promoted()
    assert engine.tick(10, verdict=WORSE) == "revert"
    assert engine.tick() == "reverted"
    assert (engine.status.phase, engine.status.closed, engine.status.reason) == ("aborted", True, "worse:satisfaction")
    assert engine.seen.arms.stable == GOOD
    assert engine.of(Unload) == [Unload(NEW)]


def test_row_superseded_losing_the_exclusive_create_ends_the_rollout_f11():
    engine = at_last_step()
    assert engine.tick(100, served=Pointer(8, OTHER)) == "superseded"
    assert (engine.status.phase, engine.status.closed) == ("superseded", True)
    assert (engine.seen.arms.canary, engine.seen.arms.stable) == (None, OTHER)
    assert engine.of(CreateServed) == []


def test_row_promoted_serves_the_new_version_to_all_and_keeps_the_old_one_warm():
    engine = promoted()
    assert engine.status.phase == "promoted"
    assert (engine.seen.arms.stable, engine.seen.arms.canary, engine.seen.arms.lease) == (NEW, None, None)
    assert engine.of(Unload) == []


def test_row_promoted_by_the_other_replica_of_the_operator_is_the_same_promotion():
    engine = at_last_step()
    assert engine.tick(100, served=Pointer(8, NEW)) == "promoted"


def test_row_revert_asks_until_it_is_done_and_names_the_last_good_version_f13():
    engine = promoted()
    served = engine.seen.served
    assert engine.tick(10, **engine.say("abort")) == "revert"
    (create,) = engine.of(CreateServed)
    assert (create.version, create.generation, create.replaces, create.by) == (GOOD, 9, 8, "anna")
    assert engine.tick(1, served=served, commands=()) == "revert"
    assert engine.tick() == "reverted"


def test_row_watch_over_unloads_the_replaced_version():
    engine = promoted()
    assert engine.tick(499) == "watching"
    assert engine.tick(1) == "watch_over"
    assert engine.of(Unload) == [Unload(GOOD)]
    assert engine.status.closed


def test_row_watching_leaves_the_next_rollouts_canary_alone():
    engine = promoted()
    theirs = replace(engine.seen.arms, canary=OTHER, steps=(Step(0.1, T0),), lease=Lease(30, T0, T0 + 30))
    assert engine.tick(10, arms=theirs) == "watching"
    assert engine.actions == []


def test_row_abort_by_a_person_takes_the_canary_off():
    engine = exposed()
    assert engine.tick(5, **engine.say("abort")) == "abort"
    assert engine.seen.arms.canary is None
    assert (engine.status.phase, engine.status.by) == ("aborted", "anna")
    assert engine.of(Unload) == [Unload(NEW)]


@pytest.mark.parametrize("kind", ["abort", "promote", "approve"])
def test_a_command_made_on_another_table_is_ignored(kind):
    engine = exposed(replace(PLAN, approval="promotion"))
    stale = engine.say(kind, engine.seen.arms.generation - 1)
    assert engine.tick(5, **stale) == "hold"


def test_a_command_is_not_outrun_by_lease_renewals():
    engine = exposed()
    word = engine.say("abort")
    for _ in range(5):
        engine.tick(15)
    assert engine.tick(1, **word) == "abort"


def test_row_wrong_digest_is_no_matter_of_statistics_f12():
    engine = exposed()
    assert engine.tick(5, replicas=(READY[0], Replica("b", (("r42", "d0"),)))) == "wrong_digest"
    assert engine.seen.arms.canary is None


def test_row_worse_rolls_back_with_its_reasons():
    engine = exposed()
    assert engine.tick(5, verdict=WORSE) == "worse"
    assert engine.status.reason == "worse:satisfaction"
    assert engine.seen.arms.canary is None
    assert engine.seen.arms.reason == "worse:satisfaction"


@pytest.mark.parametrize("state", [{"suspended": True}, {"frozen": True}])
def test_harm_is_acted_on_while_suspended_or_frozen(state):
    engine = exposed()
    assert engine.tick(5, **state) in ("suspended", "frozen")
    assert engine.tick(5, verdict=WORSE) == "worse"


def test_row_suspended_takes_the_canary_off_and_goes_on_where_it_was():
    engine = exposed()
    assert engine.tick(5, suspended=True) == "suspended"
    assert (engine.seen.arms.canary, engine.status.shown) == (None, "paused")
    assert engine.tick(60) == "suspended"
    assert engine.actions == []
    assert engine.tick(5, suspended=False) == "hold"
    assert (engine.seen.arms.canary, engine.seen.arms.steps) == (NEW, (Step(0.05, T0),))


def test_row_frozen_moves_nothing_but_keeps_the_lease():
    engine = exposed()
    assert engine.tick(200, frozen=True, verdict=PROMOTABLE) == "frozen"
    assert (engine.status.shown, engine.seen.arms.frozen, engine.seen.arms.canary) == ("frozen", True, NEW)
    assert engine.tick(15, **engine.say("promote")) == "frozen"
    assert engine.seen.arms.lease.renewed_at == engine.now
    assert engine.tick(1, frozen=False, commands=()) == "step"


def test_row_busy_waits_for_another_rollouts_live_canary_but_not_for_a_dead_one():
    engine = Engine()
    lease = Lease(30, T0, T0 + 30)
    theirs = replace(engine.seen.arms, canary=OTHER, steps=(Step(0.1, T0),), lease=lease)
    assert engine.tick(0, arms=theirs) == "busy"
    assert engine.actions == []
    assert engine.tick(40) == "first_step"
    assert engine.seen.arms.canary == NEW


def test_row_busy_waits_for_another_rollouts_shadow_phase_before_its_own_and_in_it():
    engine = Engine(replace(PLAN, shadow_s=60), rival=True)
    assert engine.tick(5000) == "busy"
    assert engine.tick(1, rival=False) == "shadow"
    assert engine.tick(1, rival=True) == "busy"
    assert engine.tick(1, rival=False) == "shadowing"
    engine = exposed()
    assert engine.tick(1, rival=True) == "hold"


def test_row_override_is_recorded_with_the_persons_name():
    engine = exposed()
    assert engine.tick(5, verdict=UNMEASURED, **engine.say("promote")) == "override"
    (create,) = engine.of(CreateServed)
    assert (create.version, create.reason, create.by, create.replaces) == (NEW, "override", "anna", 7)
    assert engine.tick() == "promoted"


def test_row_override_still_needs_the_digest_everywhere_and_never_beats_harm():
    engine = exposed()
    word = engine.say("promote")
    assert engine.tick(5, replicas=BARE, **word) == "hold"
    assert engine.tick(5, replicas=READY, verdict=WORSE) == "worse"


def test_row_sign_canary_waits_for_a_person_before_anyone_is_exposed():
    engine = Engine(replace(PLAN, approval="canary"))
    assert engine.tick() == "sign_canary"
    assert engine.tick(9999) == "sign_canary"
    assert (engine.status.held, engine.actions) == ("approval", [])
    assert engine.tick(1, **engine.say("approve")) == "first_step"
    assert (engine.status.approved, engine.status.by) == (("canary",), "anna")


def test_an_approval_before_loading_is_remembered():
    engine = Engine(replace(PLAN, approval="canary"), replicas=BARE)
    assert engine.tick(0, **engine.say("approve")) == "loading"
    assert engine.tick(1, commands=(), replicas=READY) == "first_step"


def test_row_load_deadline_gives_up_before_anyone_was_exposed():
    engine = Engine(replicas=BARE)
    assert engine.tick(299) == "loading"
    assert engine.tick(1) == "load_deadline"
    assert (engine.status.phase, engine.seen.arms.canary) == ("aborted", None)


@pytest.mark.parametrize("replicas", [BARE, ()])
def test_row_loading_until_every_replica_reports_the_digest_u20(replicas):
    engine = Engine(replicas=replicas)
    assert engine.tick() == "loading"
    assert engine.of(Load) == [Load(NEW)]
    assert engine.status.held == "digests"
    assert engine.tick(1, replicas=READY) == "first_step"


def test_row_shadow_comes_before_the_first_user():
    engine = Engine(replace(PLAN, shadow_s=60))
    assert engine.tick() == "shadow"
    assert (engine.status.phase, engine.seen.arms.canary) == ("shadow", None)


def test_row_shadowing_lasts_its_time():
    engine = Engine(replace(PLAN, shadow_s=60))
    engine.tick()
    assert engine.tick(59, shadow=replace(ENOUGH, kept_s=59.0)) == "shadowing"
    assert engine.tick(5000) == "shadowing", "time in which it is not kept going measures nothing"
    assert engine.status.held == ""
    assert engine.tick(1, shadow=replace(ENOUGH, kept_s=59.0, heard=False)) == "shadowing"
    assert engine.status.held == "shadow_unheard", "why nothing moves"
    assert engine.tick(1, shadow=ENOUGH) == "first_step"


@pytest.mark.parametrize("before", [{}, {"suspended": True}, {"frozen": True}, {"replicas": BARE}])
def test_row_shadow_harm_ends_it_before_anybody_has_met_it(before):
    engine = Engine(replace(PLAN, shadow_s=60))
    engine.tick()
    assert engine.tick(1, shadow=ShadowView(40, ("failures", "length")), **before) == "shadow_harm"
    status = engine.status
    assert (status.phase, status.reason, status.closed) == ("aborted", "shadow:failures,length", True)
    assert (engine.of(Unload), status.steps, status.taken_back) == ([Unload(NEW)], (), True)
    assert engine.seen.arms.canary is None


def test_row_shadow_unmeasured_waits_for_pairs_or_a_person():
    engine = Engine(replace(PLAN, shadow_s=60))
    engine.tick()
    assert engine.tick(60, shadow=replace(ENOUGH, pairs=49)) == "shadow_unmeasured"
    assert (engine.status.phase, engine.status.held) == ("shadow", "shadow_unmeasured")
    assert engine.tick(5000) == "shadow_unmeasured"
    assert engine.tick(1, shadow=ENOUGH) == "first_step"
    assert engine.status.held == ""


def test_row_shadow_unmeasured_exposes_where_the_plan_says_so():
    engine = Engine(replace(PLAN, shadow_s=60, shadow_unmeasured="advance"))
    engine.tick()
    assert engine.tick(60, shadow=replace(ENOUGH, pairs=0)) == "first_step"


@pytest.mark.parametrize("approval", ["none", "canary"])
def test_a_person_may_expose_what_was_not_measured_and_no_earlier_word_does(approval):
    engine = Engine(replace(PLAN, shadow_s=60, approval=approval))
    early = engine.say("approve")
    assert engine.tick(0, **early) == "shadow"
    few = replace(ENOUGH, pairs=49)
    assert engine.tick(60, shadow=few) == "shadow_unmeasured"
    assert engine.tick(5) == "shadow_unmeasured", "that was said of something else"
    assert (engine.seen.arms.canary, engine.seen.arms.reason) == (None, "shadow_unmeasured")
    generation = engine.seen.arms.generation
    assert engine.tick(5) == "shadow_unmeasured"
    assert engine.seen.arms.generation == generation
    assert engine.tick(1, **engine.say("approve")) == "first_step"
    assert engine.status.approved == (("canary", "shadow") if approval == "canary" else ("shadow",))
    assert (engine.status.by, engine.seen.arms.weight) == ("anna", 0.05)


def test_what_is_asked_of_a_person_has_its_own_table_also_where_a_canary_of_another_was_left_behind():
    engine = Engine(replace(PLAN, shadow_s=60))
    dead = replace(engine.seen.arms, canary=OTHER, steps=(Step(0.1, T0 - 90),), lease=Lease(30, T0 - 90, T0 - 60))
    assert engine.tick(0, arms=dead) == "shadow"
    assert engine.tick(60, shadow=replace(ENOUGH, pairs=49)) == "shadow_unmeasured"
    assert engine.seen.arms.generation == dead.generation + 1


def test_a_word_that_is_said_before_its_time_is_over_ends_no_shadow_phase():
    engine = Engine(replace(PLAN, shadow_s=60))
    engine.tick()
    assert engine.tick(10, shadow=replace(ENOUGH, kept_s=10.0), **engine.say("approve")) == "shadowing"


def test_what_was_shown_in_the_shadow_is_of_no_later_phase():
    engine = Engine(replace(PLAN, shadow_s=60))
    assert engine.tick() == "shadow"
    engine.tick(60, shadow=ENOUGH)
    assert engine.tick(1, shadow=ShadowView(90, ("failures",))) == "hold", "its part of the error was for that phase"


@pytest.mark.parametrize("after", [0.0, 400.0, 1e6])
def test_a_replica_that_starts_anew_in_the_shadow_is_loaded_again_however_long_it_lasts(after):
    engine = Engine(replace(PLAN, shadow_s=60))
    engine.tick()
    for _ in range(3):
        assert engine.tick(after, replicas=READY, shadow=replace(ENOUGH, pairs=1)) == "shadow_unmeasured"
        assert engine.tick(1, replicas=BARE) == "loading"
        assert engine.tick(299) == "loading", "each gap has the time to load"
    assert engine.tick(1, replicas=READY, shadow=ENOUGH) == "first_step"


def test_a_replica_that_never_loads_again_ends_the_shadow():
    engine = Engine(replace(PLAN, shadow_s=600))
    engine.tick()
    assert engine.tick(5000, replicas=BARE) == "loading"
    assert engine.tick(299) == "loading"
    assert engine.tick(1) == "load_deadline"


def test_row_first_step_writes_canary_lease_salt_and_step():
    engine = exposed()
    arms = engine.seen.arms
    assert (arms.canary, arms.steps, arms.salts.assignment) == (NEW, (Step(0.05, T0),), "s42")
    assert arms.lease == Lease(30, T0, T0 + 30)
    assert (arms.generation, arms.term) == (11, 1)


def test_row_sign_promotion_waits_past_the_deadline_and_holds_the_canary():
    engine = at_last_step(replace(PLAN, approval="promotion"))
    assert engine.tick(100) == "sign_promotion"
    assert engine.tick(5000) == "sign_promotion"
    assert engine.status.shown == "paused"
    assert engine.seen.arms.lease.renewed_at == engine.now
    assert engine.tick(1, **engine.say("approve")) == "promote"
    assert engine.of(CreateServed)[0].by == "anna"


def test_row_promote_names_what_it_replaces_the_verdict_and_all_digests():
    engine = at_last_step()
    assert engine.tick(99) == "hold"
    assert engine.tick(1) == "promote"
    (create,) = engine.of(CreateServed)
    assert (create.generation, create.replaces, create.version) == (8, 7, NEW)
    assert create.verdict_digest == PROMOTABLE.digest
    assert create.replicas == (("a", "d42"), ("b", "d42"))


def test_row_promote_is_repeated_until_the_registry_shows_it():
    engine = at_last_step()
    engine.tick(100)
    assert engine.tick(1, served=Pointer(7, GOOD)) == "promote"
    assert engine.tick() == "promoted"


@pytest.mark.parametrize("verdict", [None, UNMEASURED, INCONCLUSIVE, SILENT])
def test_neither_inconclusive_nor_unmeasured_ever_promotes_f14(verdict):
    engine = at_last_step()
    rows = {engine.tick(50, verdict=verdict) for _ in range(25)}
    assert rows <= {"hold", "deadline", "closed"}
    assert engine.seen.served == Pointer(7, GOOD)


def test_row_step_raises_the_weight_and_keeps_the_history():
    engine = at_last_step()
    assert engine.seen.arms.steps == (Step(0.05, T0), Step(0.5, T0 + 100))
    assert engine.seen.arms.weight == 0.5


def test_row_step_waits_for_every_digest():
    engine = exposed()
    assert engine.tick(100, verdict=PROMOTABLE, replicas=BARE) == "hold"
    assert engine.status.held == "digests"
    assert engine.tick(1, replicas=READY) == "step"


def test_row_step_may_advance_a_measured_step_without_harm_where_the_plan_says_so():
    plan = replace(PLAN, steps=(PlanStep(0.05, 100, 1000, "advance"), PlanStep(0.5, 100, 1000)))
    for verdict, row in ((INCONCLUSIVE, "step"), (UNMEASURED, "hold"), (SILENT, "hold"), (None, "hold")):
        assert exposed(plan).tick(100, verdict=verdict) == row
    assert exposed().tick(100, verdict=INCONCLUSIVE) == "hold"


def test_row_deadline_goes_back_to_stable_or_waits_for_a_person():
    back = exposed()
    assert back.tick(999, verdict=INCONCLUSIVE) == "hold"
    assert back.tick(1) == "deadline"
    assert (back.status.phase, back.status.reason) == ("aborted", "deadline:inconclusive")
    assert back.seen.arms.canary is None
    held = exposed(replace(PLAN, on_deadline="hold"))
    assert held.tick(1000, verdict=INCONCLUSIVE) == "deadline"
    assert (held.status.shown, held.seen.arms.canary) == ("paused", NEW)
    assert held.tick(1, **held.say("promote")) == "override"


def test_row_hold_says_why_nothing_moves():
    engine = exposed()
    assert engine.tick(50, verdict=UNMEASURED) == "hold"
    assert (engine.status.held, engine.status.shown) == ("", "canary")
    for verdict, why in ((UNMEASURED, "unmeasured"), (INCONCLUSIVE, "inconclusive"), (None, "unmeasured")):
        engine.tick(50, verdict=verdict)
        assert (engine.status.held, engine.status.shown) == (why, "paused")
