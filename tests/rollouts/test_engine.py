"""rollouts/engine: what becomes of versions, whoever dies meanwhile, and what people may say (F09, F11, F12, F13)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.clients.ledger import Judge
from rejoinder.core.arms import ArmsTable, Version, bucket, unit_id
from rejoinder.core.errors import (
    Aborted,
    BadSettings,
    FailedPrecondition,
    Fenced,
    NotFound,
    PolicyFrozen,
    StoreOwned,
    Unavailable,
)
from rejoinder.core.types import ArmKind
from rejoinder.registry.artefacts import Version as Made
from rejoinder.registry.served import ServedPointer, advance
from rejoinder.registry.store import read_json
from rejoinder.rollout.lease import ArmsView
from rejoinder.rollout.verdict import Outcome, shown_not_worse
from rejoinder.rollouts.report import report
from rejoinder.stream.headers import record_of

from tests.rollouts.world import GOOD, NEW, Taste, phase


def test_a_harmless_version_is_promoted_and_its_record_names_why(world) -> None:
    engine = world.engine()
    engine.start("r42")
    rows = world.live(engine, until=lambda: phase(engine) == "promoted")
    assert rows == ["first_step", "hold", "promote", "promoted"]
    assert (world.served.version, world.served.digest, world.served.generation) == ("r42", "d42", 2)
    assert (world.served.replaces, world.served.previous) == (1, "r41")
    assert world.served.reported == ("d42", "d42")
    assert len(world.served.verdict_digest) == 64
    assert (world.table.stable, world.table.canary, world.table.lease) == (NEW, None, None)
    assert report(engine.seen()).reason == "not_worse"


def test_a_harmful_version_is_rolled_back_and_remembered_by_name(world) -> None:
    world.tastes["r42"] = Taste(pleased=0.5)
    engine = world.engine()
    engine.start("r42")
    rows = world.live(engine)
    assert rows[-2:] == ["worse", "idle"]
    assert world.served.version == "r41"
    assert (world.table.stable, world.table.canary) == (GOOD, None)
    assert world.store.names("rolled_back/assist") == ["r42.json"]
    said = read_json(world.store, "rolled_back/assist/r42.json")
    assert said["reason"].startswith("worse:satisfaction")
    with pytest.raises(FailedPrecondition, match="rolled back"):
        engine.start("r42")


def test_a_version_whose_displeased_users_fall_silent_is_never_promoted(world) -> None:
    """Those who reply are as satisfied as before, so satisfaction alone would promote it (evidence: silence)."""
    world.tastes["r42"] = Taste(pleased=0.6, replies=(0.95, 0.1))
    engine = world.engine(steps=[{"weight": 0.5, "duration_s": 10.0, "deadline_s": 40.0}])
    engine.start("r42")
    world.live(engine, 30)
    seen = engine.seen()
    assert (seen.verdict.outcome, seen.verdict.reasons) == (Outcome.INCONCLUSIVE, ("response_rate",))
    assert shown_not_worse(seen.trial.evidence.silence.tests["judged"], seen.trial.plan.alpha)
    world.live(engine)
    assert engine.seen().trial.status.reason == "deadline:inconclusive"
    assert world.served.version == "r41"


def test_a_version_that_fails_more_often_is_vetoed_whatever_people_say(world) -> None:
    world.tastes["r42"] = Taste(failed=0.3)
    engine = world.engine()
    engine.start("r42")
    world.live(engine)
    assert "veto:failures" in engine.seen().trial.status.reason


def test_a_version_whose_answers_grow_is_vetoed(world) -> None:
    world.tastes["r42"] = Taste(chars=300)
    engine = world.engine(steps=[{"weight": 0.5, "duration_s": 100.0, "deadline_s": 200.0}])
    engine.start("r42")
    world.live(engine)
    assert engine.seen().trial.status.reason == "worse:veto:length"


def test_nobody_of_the_holdout_is_ever_shown_a_canary(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, until=lambda: phase(engine) == "promoted")
    table = next(table for table in world.tables() if table.canary)
    shown = [turn for turn in world.people.turns if turn.arm is ArmKind.CANARY]
    assert len(shown) > 50
    held = {t.user_id for t in world.people.turns if bucket(unit_id("t", t.user_id, "", ""), table.salts.holdout) < 0.1}
    assert len(held) > 10
    assert not held & {turn.user_id for turn in shown}


def test_steps_are_climbed_in_order_and_the_history_goes_with_the_table(world) -> None:
    steps = [
        {"weight": w, "duration_s": 5.0, "deadline_s": 300.0, "on_inconclusive": how}
        for w, how in ((0.2, "advance"), (0.5, "pause"))
    ]
    engine = world.engine(steps=steps)
    engine.start("r42")
    rows = world.live(engine, until=lambda: phase(engine) == "promoted")
    assert rows.index("first_step") < rows.index("step") < rows.index("promote")
    assert {tuple(s.weight for s in table.steps) for table in world.tables()} == {(), (0.2,), (0.2, 0.5)}


def test_a_step_waits_until_every_replica_has_the_digest(world) -> None:
    world.replicas["b"].loads = False
    engine = world.engine()
    engine.start("r42")
    assert engine.tick() == "loading"
    assert world.tables() == [] or world.table.canary is None
    assert ("b", "r42", "NOT_FOUND") in world.told
    world.replicas["b"].loads = True
    assert world.live(engine, 3) == ["loading", "first_step", "hold"]


def test_a_replica_with_another_digest_ends_it(world) -> None:
    world.replicas["b"].wrong = "d666"
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 2)
    assert engine.seen().trial.status.reason == "wrong_digest"
    assert world.store.names("rolled_back/assist") == []


def test_losing_the_race_ends_it_as_superseded(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 5)
    world.artefacts.publish(Made("assist", "r43", "d43"))
    advance(world.store, ServedPointer("assist", 2, "r43", "d43", replaces=1))
    world.clock.advance(1.0)
    assert engine.tick() == "superseded"
    assert (world.table.stable, world.table.canary) == (Version("r43", "d43"), None)
    assert phase(engine) == "superseded"


def test_the_race_for_one_generation_has_one_winner(world) -> None:
    """Both have decided; one creates, the other finds out at its next look."""
    engine = world.engine()
    engine.start("r42")
    taken = []

    class Racing:
        def __init__(self, store) -> None:
            self._store = store

        def __getattr__(self, name):
            return getattr(self._store, name)

        def create(self, path, data):
            if path.startswith("served/") and not taken:
                taken.append(path)
                advance(self._store, ServedPointer("assist", 2, "r43", "d43", replaces=1))
            return self._store.create(path, data)

    world.artefacts.store = Racing(world.store)
    rows = world.live(engine)
    assert rows[-3:] == ["promote", "superseded", "idle"]
    assert world.served.version == "r43"


def test_without_the_ledger_nothing_is_renewed_and_the_lease_runs_out(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 5)
    renewed = world.table.lease.renewed_at
    view = ArmsView(replace(world.table, canary=None, lease=None, steps=()), world.clock)
    view.caught_up()
    view.receive(world.table, world.clock.now())
    world.people.away = True
    for _ in range(31):
        world.clock.advance(1.0)
        with pytest.raises(Unavailable):
            engine.tick()
    assert world.table.lease.renewed_at == renewed
    assert view.grant().why == "lapsed"
    world.people.away = False
    engine.tick()
    assert world.table.lease.renewed_at == world.clock.now()


def test_the_lease_is_renewed_under_the_same_generation(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3, people=1)
    first = world.table
    world.live(engine, 11, people=1)
    assert world.table.order == first.order
    assert world.table.lease.renewed_at > first.lease.renewed_at


def test_a_clock_that_is_finer_than_the_logs_writes_no_table_anew(world) -> None:
    world.clock.set_wall(1_700_000_000.123456789)
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 2, people=1)
    written = len(world.tables())
    world.live(engine, 5, people=1)
    assert len(world.tables()) == written


def test_a_paused_engine_that_wakes_is_fenced_and_a_new_replica_reads_the_right_table(world) -> None:
    """F11: a leader that was away for a while must not take the table back; compaction keeps the right one."""
    old = world.engine("old")
    old.start("r42")
    world.live(old, 5)
    new = world.engine("new")
    assert new.tick() == "idle"
    new.freeze(world.table.generation, True)
    right = world.table
    world.clock.advance(20.0)
    for _ in range(3):
        with pytest.raises(Fenced):
            old.tick()
    with pytest.raises(Fenced):
        old.command("abort", right.generation, "ann")
    assert report(old.seen()).held == "fenced"
    world.log.compact()
    assert world.tables() == [right]


def test_a_stale_write_that_was_under_way_is_fenced_by_the_log_itself(world) -> None:
    old = world.ports("old")
    old.topic.take()
    new = world.ports("new")
    new.topic.take()
    with pytest.raises(Fenced):
        old.topic.write(ArmsTable("assist", old.topic.term, 99, stable=GOOD))
    assert world.tables() == []


def test_a_higher_term_in_the_topic_is_never_written_over(world) -> None:
    elsewhere = ArmsTable("assist", 99, 5, world.clock.now(), stable=GOOD)
    world.log.append([record_of(elsewhere, "operator")]).result()
    engine = world.engine()
    with pytest.raises(Fenced):
        engine.tick()
    with pytest.raises(Fenced):
        engine.start("r42")
    assert world.tables() == [elsewhere]


def test_one_memory_has_one_engine(world) -> None:
    world.engine()
    with pytest.raises(StoreOwned):
        world.engine()


def test_a_lost_answer_of_the_owner_is_settled_by_reading(world) -> None:
    """The table was written, the answer was not heard: the same engine goes on, without a new epoch."""

    class Deaf:
        def __init__(self, owner) -> None:
            self.owner, self.deaf = owner, True

        def begin_epoch(self, name):
            return self.owner.begin_epoch(name)

        def commit_step(self, *step):
            done = self.owner.commit_step(*step)
            if self.deaf:
                self.deaf = False
                raise Unavailable("nobody heard")
            return done

    engine = world.engine(ports=world.ports(owner=Deaf(world.owner)))
    with pytest.raises(Unavailable):
        engine.start("r42")
    engine.start("r42")
    world.live(engine, 1)
    assert [(table.term, table.generation) for table in world.tables()] == [(1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("version", "error", "words"),
    [("r99", NotFound, "r99"), ("r41", FailedPrecondition, "stable already")],
)
def test_what_cannot_be_started_is_said_in_words(world, version, error, words) -> None:
    with pytest.raises(error, match=words):
        world.engine().start(version)


def test_one_rollout_at_a_time_and_starting_it_again_changes_nothing(world) -> None:
    world.artefacts.publish(Made("assist", "r43", "d43"))
    engine = world.engine()
    engine.start("r42")
    salt = engine.seen().trial.status.salt
    engine.start("r42")
    assert engine.seen().trial.status.salt == salt
    with pytest.raises(FailedPrecondition, match="r42 is being rolled out"):
        engine.start("r43")


def test_a_plan_that_is_none_starts_nothing(world) -> None:
    engine = world.engine()
    with pytest.raises(BadSettings, match="stepps"):
        engine.start("r42", {"stepps": []})
    assert engine.seen().trial is None


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"vetoes": [{"name": "role_norms"}]}, "nothing measures role_norms"),
        ({"shadow_s": 60.0, "vetoes": [{"name": "audit"}]}, "nothing is scored"),
    ],
)
def test_what_nothing_measures_is_refused_and_not_passed_in_silence(world, asked, words) -> None:
    """F01: a veto that cannot fire would read as one that did not."""
    engine = world.engine()
    with pytest.raises(BadSettings, match=words):
        engine.start("r42", asked)
    assert engine.seen().trial is None


def vetoes(*more: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "failures", "base_rate": 0.01}, *more]


def test_a_first_judge_that_the_canary_alone_fools_is_caught_by_the_audit(world) -> None:
    """Half of the canary's users are displeased, and the first judge reads nearly all of them as pleased."""
    world.tastes[NEW.version] = Taste(pleased=0.5, fooled=0.95)
    world.people.second = Judge("audit-endpoint", "judge@1")
    engine = world.engine()
    engine.start("r42", {"vetoes": vetoes({"name": "audit"})})
    world.live(engine)
    seen = engine.seen()
    assert (phase(engine), seen.trial.status.reason) == ("aborted", "worse:veto:audit")
    assert "audited by audit-endpoint@judge@1" in seen.verdict.snapshot["extractor"]
    assert world.served.version == GOOD.version


def test_the_same_canary_is_promoted_where_nobody_audits(world) -> None:
    """The control: it is the audit that catches it."""
    world.tastes[NEW.version] = Taste(pleased=0.5, fooled=0.95)
    engine = world.engine()
    engine.start("r42", {"vetoes": vetoes()})
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert phase(engine) == "promoted"


def test_a_plan_that_demands_the_audit_promotes_nothing_without_a_second_judge(world) -> None:
    engine = world.engine(steps=[{"weight": 0.5, "duration_s": 10.0, "deadline_s": 40.0}])
    engine.start("r42", {"vetoes": vetoes({"name": "audit"})})
    world.live(engine)
    seen = engine.seen()
    assert (seen.verdict.outcome, seen.verdict.reasons) == (Outcome.UNMEASURED, ("veto:audit",))
    assert seen.trial.status.reason == "deadline:unmeasured"


def test_with_a_second_judge_the_good_version_is_promoted_and_an_engine_goes_on_with_its_audit(world) -> None:
    world.people.second = Judge("audit-lexicon", "1")
    engine = world.engine()
    engine.start("r42", {"vetoes": vetoes({"name": "audit"}, {"name": "refusals"})})
    world.live(engine, seconds=8)
    before = engine.seen().trial
    world.close()
    again = world.engine()
    assert again.seen().trial.evidence.as_dict() == before.evidence.as_dict()
    assert again.seen().trial.reading == before.reading
    world.live(again, until=lambda: phase(again) == "promoted")
    assert phase(again) == "promoted"


def test_a_version_that_refuses_is_taken_back(world) -> None:
    world.tastes[NEW.version] = Taste(refuses=0.4)
    engine = world.engine()
    engine.start("r42", {"vetoes": vetoes({"name": "refusals"})})
    world.live(engine)
    assert engine.seen().trial.status.reason == "worse:veto:refusals"


CHARTER = {
    "version": "2026-10",
    "norms": [{"id": "no-code", "text": "No codes.", "owner": "security", "forbid": "code 4711"}],
}
HELD = {"vetoes": vetoes({"name": "norms"}), "charter": CHARTER}


def test_a_version_that_people_like_and_that_breaks_the_charter_is_taken_back(world) -> None:
    """F01: satisfaction rises, and the veto decides. No word of an answer is in what is told."""
    world.tastes[NEW.version] = Taste(pleased=0.99, breaks=0.4)
    engine = world.engine()
    engine.start("r42", HELD)
    world.live(engine)
    seen = engine.seen()
    assert (phase(engine), seen.trial.status.reason) == ("aborted", "worse:veto:norms")
    shown = seen.verdict.snapshot["charter"]
    assert (shown["version"], shown["digest"]) == ("2026-10", seen.trial.plan.charter.digest)
    (applied, broken), (_, none) = (shown["norms"][arm]["no-code"] for arm in ("canary", "stable"))
    assert (0.2 * applied < broken < 0.6 * applied, none) == (True, 0)
    assert "4711" not in json.dumps(seen.verdict.snapshot)


def test_the_same_version_is_promoted_where_no_charter_is_asked_for(world) -> None:
    """The control: satisfaction alone likes it."""
    world.tastes[NEW.version] = Taste(pleased=0.99, breaks=0.4)
    engine = world.engine()
    engine.start("r42")
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert phase(engine) == "promoted"


def test_an_engine_goes_on_with_its_charter_and_every_answer_is_counted_once(world) -> None:
    world.tastes[NEW.version] = Taste(breaks=0.02)
    engine = world.engine()
    engine.start("r42", HELD)
    world.live(engine, seconds=8)
    before = engine.seen().trial
    world.close()
    again = world.engine()
    assert again.seen().trial.reading == before.reading
    world.live(again, seconds=2)
    trial = again.seen().trial
    counted = sum(trial.reading.norms[arm]["no-code"][0] for arm in ("stable", "canary"))
    matured = [t for t in world.people.turns if t.accepted_at <= trial.reading.after and t.completed]
    assert counted == len(matured) > 80
    shown = report(again.seen())
    assert (shown.charter, shown.charter_version) == (trial.plan.charter.digest, "2026-10")
    assert shown.norms[0].stable_applied + shown.norms[0].canary_applied == counted


def test_a_version_that_only_ran_out_of_time_may_be_tried_again(world) -> None:
    engine = world.engine(steps=[{"weight": 0.5, "duration_s": 1.0, "deadline_s": 5.0}])
    engine.start("r42")
    world.live(engine, people=0)
    assert engine.seen().trial.status.reason == "deadline:unmeasured"
    engine.start("r42")
    assert phase(engine) == "canary"


def test_a_person_may_promote_over_the_verdict_and_is_named(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3)
    engine.command("promote", world.table.generation, "ann")
    assert (world.served.version, world.served.decided_by) == ("r42", "ann")
    assert phase(engine) == "promoted"
    assert world.table.canary is None


def test_a_command_on_another_table_is_refused_and_a_repeated_one_changes_nothing(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3)
    generation = world.table.generation
    for wrong in (generation - 1, generation + 1):
        with pytest.raises(Aborted, match="moved on"):
            engine.command("abort", wrong, "ann")
    engine.command("abort", generation, "ann")
    tables = len(world.tables())
    engine.command("abort", generation, "ann")
    assert len(world.tables()) == tables
    assert (phase(engine), engine.seen().trial.status.by) == ("aborted", "ann")
    with pytest.raises(Aborted):
        engine.command("promote", generation, "ann")


def test_a_promotion_waits_for_replicas_and_says_so(world) -> None:
    world.replicas["a"].loads = False
    engine = world.engine()
    engine.start("r42")
    with pytest.raises(FailedPrecondition, match="not every replica"):
        engine.command("promote", world.table.generation, "ann")
    assert world.served.version == "r41"


def test_without_a_rollout_there_is_nothing_to_promote(world) -> None:
    with pytest.raises(FailedPrecondition, match="no rollout is open"):
        world.engine().command("promote", 0, "ann")


def test_frozen_holds_everything_and_renews_the_canary(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 3)
    engine.freeze(world.table.generation, True)
    with pytest.raises(PolicyFrozen):
        engine.command("promote", world.table.generation, "ann")
    rows = world.live(engine, 60)
    assert rows == ["frozen"]
    assert report(engine.seen()).phase == "frozen"
    assert (world.table.canary, world.table.frozen) == (NEW, True)
    assert world.clock.now() - world.table.lease.renewed_at <= 11
    engine.freeze(world.table.generation, False)
    assert not world.table.frozen
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert world.served.version == "r42"


def test_a_policy_can_be_frozen_between_rollouts(world) -> None:
    engine = world.engine()
    engine.freeze(0, True)
    assert (world.table.frozen, world.table.stable, world.table.holdout_share) == (True, GOOD, 0.1)
    with pytest.raises(PolicyFrozen):
        engine.start("r42")
    engine.freeze(0, True)
    engine.freeze(world.table.generation, False)
    engine.start("r42")


@pytest.mark.parametrize("what", ["canary", "promotion"])
def test_a_signature_is_waited_for_and_given_by_promote(world, what) -> None:
    engine = world.engine(approval=what)
    engine.start("r42")
    world.live(engine, 200, until=lambda: engine.seen().trial.status.held == "approval")
    assert engine.seen().trial.status.held == "approval"
    assert world.served.version == "r41"
    engine.command("promote", world.table.generation, "ann")
    assert engine.seen().trial.status.approved == (what,)
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert world.served.version == "r42"


def test_a_promoted_version_that_turns_out_worse_is_taken_back(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, until=lambda: phase(engine) == "promoted")
    engine.command("abort", world.table.generation, "ann")
    assert (world.served.version, world.served.generation) == ("r41", 3)
    assert phase(engine) == "aborted"
    assert world.store.names("rolled_back/assist") == ["r42.json"]


#: Long enough that nothing is decided before the counts speak.
SLOW = [{"weight": 0.5, "duration_s": 500.0, "deadline_s": 900.0}]


def test_draws_that_a_replica_does_not_count_are_named_as_the_hop_of_assignments(world) -> None:
    """U16: the answers of that replica's canary are all there; only its counter loses them."""
    world.replicas["b"].lossy = 0.3
    engine = world.engine(steps=SLOW)
    engine.start("r42")
    world.live(engine, 60, people=40, until=lambda: "sample_ratio" in "".join(engine.seen().verdict.reasons))
    seen = engine.seen()
    assert (seen.verdict.outcome, seen.verdict.reasons) == (Outcome.UNMEASURED, ("sample_ratio:assigned",))
    assert not seen.trial.evidence.matured.suspends
    assert engine.tick() == "hold"
    world.replicas["b"].lossy = 0.0
    world.live(engine, 20, people=40)
    assert engine.seen().verdict.reasons == ("sample_ratio:assigned",)
    assert world.served.version == "r41"


def test_answers_that_get_lost_after_the_draw_are_named_as_the_hop_of_matured_ones(world) -> None:
    """U16: a crashing canary takes its answers with it; those who are left are as pleased as stable's."""
    world.tastes["r42"] = Taste(lost=0.3)
    engine = world.engine(steps=SLOW)
    engine.start("r42")
    world.live(engine, 60, people=40, until=lambda: "sample_ratio" in "".join(engine.seen().verdict.reasons))
    seen = engine.seen()
    assert (seen.verdict.outcome, seen.verdict.reasons) == (Outcome.UNMEASURED, ("sample_ratio:matured",))
    assert not seen.trial.evidence.assigned.suspends
    drawn = seen.trial.evidence.assigned.counts[0.5]
    matured = seen.trial.evidence.matured.counts[0.5]
    assert matured[1] / drawn[1] < 0.8 < matured[0] / drawn[0]


def test_a_sound_rollout_counts_everybody_who_could_have_been_shown_either(world) -> None:
    """The control of both: same traffic, nothing lost, nothing suspended."""
    engine = world.engine(steps=SLOW)
    engine.start("r42")
    world.live(engine, 40, people=40)
    evidence = engine.seen().trial.evidence
    assert not evidence.assigned.suspends
    assert not evidence.matured.suspends
    shown = [turn for turn in world.people.turns if 0 < turn.propensity < 1 and not turn.holdout]
    assert evidence.assigned.counts == {0.5: (len(shown), sum(turn.arm is ArmKind.CANARY for turn in shown))}


def test_what_a_replica_had_counted_outlives_it_and_the_engine(world) -> None:
    engine = world.engine(ports=(ports := world.ports()), steps=SLOW)
    engine.start("r42")
    world.live(engine, 10)
    before = engine.seen().trial.evidence.assigned.counts[0.5][0]
    world.replicas["a"].restart("a-2")
    ports.memory.close()
    again = world.engine(steps=SLOW)
    assert again.seen().trial.evidence.assigned.counts[0.5][0] == before
    world.live(again, 10)
    drawn = again.seen().trial.evidence.assigned
    assert drawn.counts[0.5][0] == sum(0 < t.propensity < 1 and not t.holdout for t in world.people.turns)
    assert [epoch for epoch, *_ in drawn.as_dict()["processes"]] == ["a-1", "a-2", "b-1"]


def test_what_a_replica_still_counts_of_the_rollout_before_is_not_taken(world) -> None:
    world.artefacts.publish(Made("assist", "r43", "d43"))
    engine = world.engine(steps=SLOW)
    engine.start("r42")
    world.live(engine, 5)
    engine.command("abort", world.table.generation, "ann")
    engine.start("r43")
    world.live(engine, 3, people=0)
    assert world.replicas["a"].counter.drawn().counts[0][1] > 10
    assert engine.seen().trial.evidence.assigned.counts == {}


def test_another_extractor_version_makes_it_unmeasured_and_takes_up_nothing(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 8)
    before = engine.seen().trial.evidence.as_dict()
    world.people.foreign = 3
    world.live(engine, 20)
    seen = engine.seen()
    assert (seen.verdict.outcome, seen.verdict.reasons) == (Outcome.UNMEASURED, ("extractor",))
    # Draws are counted on: they wait for nobody's reading.
    assert seen.trial.evidence.as_dict() | {"assigned": before["assigned"]} == before
    world.people.foreign = 0
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert world.served.version == "r42"


def test_an_extractor_that_is_far_behind_is_away(world) -> None:
    engine = world.engine()
    engine.start("r42")
    world.people.behind_s = 301.0
    world.live(engine, 20)
    assert engine.seen().verdict.reasons == ("extractor",)


def test_nothing_is_measured_before_an_extractor_has_spoken(world) -> None:
    world.people.present = ""
    engine = world.engine()
    engine.start("r42")
    world.live(engine, 20)
    assert engine.seen().verdict.reasons == ("extractor",)
    assert engine.seen().trial.evidence.matured.counts == {}
    world.people.present = "7"
    world.live(engine, until=lambda: phase(engine) == "promoted")
    assert [j.version for j in engine.seen().trial.reading.judges] == ["7"]
    assert world.served.version == "r42"
