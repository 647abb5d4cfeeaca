"""rollouts/shadowing: a version is scored on answers that nobody sees, and ends or goes on before anybody met it."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from rejoinder.clients.policy import Shadowed
from rejoinder.core.errors import Aborted, BadSettings, FailedPrecondition
from rejoinder.core.shadow import Order
from rejoinder.rollouts.report import report

from tests.rollouts.world import NEW, Taste, phase

PHASE = {"shadow_s": 30.0, "shadow_share": 0.5}
NORMS = {
    "version": "1",
    "norms": [
        {"id": "price", "text": "no prices", "owner": "anna", "forbid": "costs", "severity": "report"},
        {"id": "advice", "text": "no advice", "owner": "anna", "forbid": "you should"},
    ],
}


def test_a_good_version_goes_on_when_its_time_is_over_and_is_promoted(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    rows = world.live(engine, until=lambda: phase(engine) == "promoted")
    assert rows == ["shadow", "shadowing", "first_step", "hold", "promote", "promoted"]
    assert engine.seen().trial.evidence.shadow.total.pairs == sum(each.pairs for each in world.replicas.values())
    for replica in world.replicas.values():
        assert len({order.salt for order in replica.orders}) == 1
        assert [order.share for order in replica.orders[-2:]] == [0.5, 0.0], "it is told that it is over"
        assert len(replica.orders) <= 32, "and nothing more"


@pytest.mark.parametrize(("taste", "veto"), [(Taste(failed=0.3), "failures"), (Taste(chars=400), "length")])
def test_a_harmful_version_ends_before_anybody_has_met_it(world, taste: Taste, veto: str) -> None:
    world.tastes[NEW.version] = taste
    engine = world.engine()
    engine.start("r42", PHASE)
    assert world.live(engine)[-2:] == ["shadow_harm", "idle"]
    seen = report(engine.seen())
    assert (seen.phase, seen.reason) == ("aborted", f"shadow:{veto}")
    assert [each.name for each in seen.shadow.vetoes if each.fired] == [veto]
    assert not [table for table in world.tables() if table.canary]
    with pytest.raises(FailedPrecondition, match=f"rolled back .shadow:{veto}"):
        engine.start("r42", PHASE)


def test_without_the_phase_they_meet_it(world) -> None:
    """The control."""
    world.tastes[NEW.version] = Taste(failed=0.3)
    engine = world.engine()
    engine.start("r42")
    assert world.live(engine)[-2:] == ["worse", "idle"]
    assert [table for table in world.tables() if table.canary]


def test_what_is_told_to_replicas_is_the_plans(world) -> None:
    engine = world.engine(vetoes=[{"name": "refusals"}, {"name": "norms"}], charter=NORMS)
    engine.start("r42", PHASE)
    world.live(engine, seconds=2, people=0)
    (order,) = world.replicas["a"].orders
    salt = engine.seen().trial.status.salt
    assert order == Order(salt, 0.5, "user", "r41", "r42", "d42", True, order.norms, 30.0)
    assert [rule.forbid for rule in order.norms] == ["you should"], "a report stops nothing"


def test_too_few_pairs_hold_it_and_people_see_why(world) -> None:
    engine = world.engine()
    engine.start("r42", {**PHASE, "shadow_min_pairs": 200})
    assert world.live(engine, seconds=40, people=1) == ["shadow", "shadowing", "shadow_unmeasured"]
    seen = report(engine.seen())
    assert (seen.phase, seen.held, seen.shadow.min_pairs) == ("shadow", "shadow_unmeasured", 200)
    assert 0 < seen.shadow.pairs < 200
    assert seen.shadow.ends_at is None, "its time is over"
    assert world.live(engine, people=50, until=lambda: phase(engine) == "canary")[-1] == "first_step"


def test_an_engine_that_is_killed_goes_on_with_counts_and_clock(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=20)
    before = engine.seen().trial
    engine._ports.memory.close()
    again = world.engine()
    after = again.seen().trial
    assert (after.status, after.evidence.shadow.as_dict()) == (before.status, before.evidence.shadow.as_dict())
    assert world.live(again, seconds=15, until=lambda: phase(again) == "canary") == ["shadowing", "first_step"]
    assert world.clock.now() - after.status.shadow_at <= 31.0


def test_a_replica_that_starts_anew_counts_on_and_nothing_twice(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=10)
    lost = world.replicas["a"].pairs
    world.replicas["a"].restart("a-2")
    world.live(engine, seconds=10)
    total = engine.seen().trial.evidence.shadow.total
    assert total.pairs == lost + world.replicas["a"].pairs + world.replicas["b"].pairs


def test_a_frozen_policy_answers_nobody_again(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=5)
    engine.freeze(engine.seen().arms.generation, True)
    told = len(world.replicas["a"].orders)
    assert world.replicas["a"].orders[-1].share == 0.0, "at once, not when it lapses"
    kept = engine.seen().trial.evidence.shadow.kept_s
    assert world.live(engine, seconds=500) == ["frozen"]
    assert len(world.replicas["a"].orders) == told
    counted = engine.seen().trial.evidence.shadow.total.pairs
    assert counted == sum(each.pairs for each in world.replicas.values())
    engine.freeze(engine.seen().arms.generation, False)
    seen = engine.seen().trial
    assert (seen.status.held, seen.evidence.shadow.kept_s) == ("", kept)
    assert report(engine.seen()).shadow.ends_at - world.clock.now() == 30.0 - kept
    assert world.live(engine, until=lambda: phase(engine) == "canary") == ["shadowing", "first_step"]
    assert len(world.replicas["a"].orders) > told


def test_an_abort_in_the_phase_stops_it_at_once(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=5)
    engine.command("abort", engine.seen().arms.generation, "anna")
    assert (report(engine.seen()).phase, report(engine.seen()).reason) == ("aborted", "abort")
    assert world.replicas["a"].orders[-1].share == 0.0


def test_what_was_scored_up_to_the_end_is_remembered(world, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=5)
    heard = world.replicas["a"].shadow

    def shadow(order: Order, policy: str = "") -> Shadowed:
        if not order.share:
            world.shadowed(40)
        return heard(order, policy)

    monkeypatch.setattr(world.replicas["a"], "shadow", shadow)
    engine.command("abort", engine.seen().arms.generation, "anna")
    engine._ports.memory.close()
    counted = sum(replica.pairs for replica in world.replicas.values())
    assert world.engine().seen().trial.evidence.shadow.total.pairs == counted


def test_an_engine_that_was_away_does_not_call_that_a_phase(world) -> None:
    engine = world.engine()
    engine.start("r42", {**PHASE, "lease_ttl_s": 10.0, "shadow_unmeasured": "advance"})
    world.live(engine, seconds=5)
    kept = engine.seen().trial.evidence.shadow.kept_s
    engine._ports.memory.close()
    world.clock.advance(10_000.0)
    again = world.engine()
    assert again.tick() == "shadowing"
    assert again.seen().trial.evidence.shadow.kept_s == kept + 10.0, "replicas went on for that long by themselves"


def test_time_in_which_no_replica_is_at_it_does_not_count(world) -> None:
    """Another engine's order is in force there, or they are away."""
    engine = world.engine()
    engine.start("r42", {**PHASE, "shadow_unmeasured": "advance"})
    for replica in world.replicas.values():
        replica.shadow(Order("another", 1.0, lasts=20.0))
    world.live(engine, seconds=19)
    assert engine.seen().trial.evidence.shadow.kept_s == 0.0
    assert report(engine.seen()).held == "shadow_unheard"
    world.live(engine, seconds=2)
    assert report(engine.seen()).held == ""
    assert world.live(engine, seconds=60, until=lambda: phase(engine) == "canary")[-1] == "first_step"
    assert engine.seen().trial.evidence.shadow.kept_s == 30.0


def test_a_veto_that_measured_nothing_is_no_veto_that_passed(world) -> None:
    """No answer of these replicas meets a norm, so `norms` has no pair."""
    engine = world.engine(vetoes=[{"name": "failures", "base_rate": 0.01}, {"name": "norms"}], charter=NORMS)
    engine.start("r42", PHASE)
    assert world.live(engine, seconds=60)[-1] == "shadow_unmeasured"
    seen = report(engine.seen()).shadow
    assert seen.pairs > 100
    assert [(veto.name, veto.measured) for veto in seen.vetoes] == [("failures", True), ("norms", False)]


def test_a_person_exposes_what_was_not_measured_at_the_first_weight(world) -> None:
    engine = world.engine()
    engine.start("r42", {**PHASE, "shadow_min_pairs": 100_000})
    world.live(engine, until=lambda: engine.seen().trial.status.held == "shadow_unmeasured")
    engine.command("promote", engine.seen().arms.generation, "anna")
    status = engine.seen().trial.status
    assert (phase(engine), status.by, status.approved) == ("canary", "anna", ("shadow",))
    assert (world.table.canary, world.table.weight, world.served.version) == (NEW, 0.5, "r41")


def test_a_signature_while_a_replica_is_away_exposes_nobody_and_is_not_said_to_be_kept(world) -> None:
    """At the look after it what was asked is asked anew: the word is no override, which would show it to everybody."""
    engine = world.engine()
    engine.start("r42", {**PHASE, "shadow_min_pairs": 100_000})
    world.live(engine, until=lambda: engine.seen().trial.status.held == "shadow_unmeasured")
    asked = engine.seen().arms.generation
    world.replicas["b"].away = True
    for held in ("shadow_unmeasured", "digests"):
        assert engine.seen().trial.status.held == held
        with pytest.raises(FailedPrecondition, match="not every replica serves r42"):
            engine.command("promote", asked, "anna")
    world.replicas["b"].away = False
    with pytest.raises(FailedPrecondition):
        engine.command("promote", asked, "anna")
    assert (phase(engine), world.table.canary, world.served.version) == ("shadow", None, "r41")
    with pytest.raises(Aborted):
        engine.command("promote", asked, "anna")
    engine.command("promote", engine.seen().arms.generation, "anna")
    assert (phase(engine), world.table.weight, world.served.version) == ("canary", 0.5, "r41")


def test_while_it_waits_for_a_person_only_new_counts_are_remembered(world, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may wait for days, and in a cluster each state is a file."""
    engine, written = world.engine(), []
    engine.start("r42", {**PHASE, "shadow_min_pairs": 100_000})
    world.live(engine, until=lambda: engine.seen().trial.status.held == "shadow_unmeasured")
    monkeypatch.setattr(engine._ports.memory, "write", lambda values, *rest: written.append(values))
    world.live(engine, seconds=5, people=0)
    assert written == []
    world.live(engine, seconds=1)
    assert [sorted(values) for values in written] == [["evidence", "reading"]]


def test_a_replica_that_cannot_is_named_and_nothing_starts(world) -> None:
    world.replicas["b"].shadows = False
    engine = world.engine()
    with pytest.raises(BadSettings, match="shadow_s must be 0: b cannot answer in a shadow phase"):
        engine.start("r42", PHASE)
    assert engine.seen().trial is None
    engine.start("r42")
    assert engine.seen().trial.open


def test_what_people_are_shown_is_json(world) -> None:
    engine = world.engine()
    engine.start("r42", PHASE)
    world.live(engine, seconds=5)
    json.dumps(asdict(report(engine.seen()).shadow))
