"""Five versions on real processes: a harmful one is rolled back, a silent one never promoted, one that loses answers
suspended, one that fools the first judge caught by the second, a harmless one promoted, and nobody of the holdout sees
any before it is stable (F01, F09, F11, F13, U16)."""

from __future__ import annotations

import random

import pytest
from rejoinder.clients.rollouts import Rollout
from rejoinder.core.arms import Salts, bucket, unit_id
from rejoinder.core.errors import FailedPrecondition, NotFound
from rejoinder.registry.served import current
from rejoinder.registry.store import read_json

from tests.chaos.harness import wait_until
from tests.system.rollouts.town import HOLDOUT, POLICY, Taste, Town, canaries

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

# Each town's people are drawn from a seed, arms included, and the seeds are chosen: of rollouts of chance the verdict
# gets some wrong by design (a harmless one aborted in 3 % of 300 simulated). By the verdict's own code, over any order
# within a batch: the harmful one is caught among the first 30 people, the silent one is held from 90 on, the lossy one
# after 330; what fools the first judge stands at an E-value of at most 20 at one look and of 980 at the next, and is
# not promotable before; the harmless one is promotable after 90, its E-value for harm at most 1.1 of the 20 that abort.


def test_a_harmful_canary_is_rolled_back(town: Town) -> None:
    rng, tastes = random.Random(1), {"r41": Taste(pleased=0.4)}
    town.start("r41")
    town.wait_for_table(lambda table: table.canary is not None and town.replica.view.grant().ok)
    done = town.until(lambda status: status.phase == "aborted", tastes, rng)
    assert done.reason.startswith("worse:satisfaction")
    assert (done.verdict, done.stable_version) == ("WORSE", "base")
    assert current(town.store, POLICY).generation == 1
    assert read_json(town.store, f"rolled_back/{POLICY}/r41.json")["reason"] == done.reason
    town.wait_for_table(lambda table: table.canary is None)
    with pytest.raises(FailedPrecondition, match="rolled back"):
        town.start("r41")


def fallen_silent(town: Town, version: str, deadline_s: float) -> Rollout:
    """A version whose displeased users mostly say nothing, as soon as that is noticed: its step's second has passed."""
    rng, tastes = random.Random(2), {version: Taste(pleased=0.6, replies=(0.95, 0.1))}
    town.start(version, steps=[{"weight": 0.5, "duration_s": 1.0, "deadline_s": deadline_s}])
    town.wait_for_table(lambda table: table.canary is not None and town.replica.view.grant().ok)
    return town.until(lambda status: status.reasons == ("response_rate",) or status.reason, tastes, rng)


def test_a_canary_whose_displeased_users_fall_silent_is_held(town: Town) -> None:
    silent = fallen_silent(town, "r42", 100.0)
    assert current(town.store, POLICY).version == "base"
    if silent.verdict == "WORSE":
        # What people still say may show the harm before the silence does: by chance of the assignment, and rightly.
        assert silent.reason.startswith("worse:")
        return
    assert (silent.verdict, silent.reasons) == ("INCONCLUSIVE", ("response_rate",)), silent
    assert silent.canary.mean > silent.stable.mean - 0.1
    assert silent.canary.reply_rate < silent.stable.reply_rate - 0.2
    assert silent.canary.low < silent.canary.mean - 0.2
    town.engine.abort(POLICY, silent.generation)
    assert current(town.store, POLICY).version == "base"


@pytest.mark.proof
def test_what_is_not_known_by_the_step_s_deadline_is_aborted(town: Town) -> None:
    """The row itself is tests/rollout/test_rows.py's."""
    if fallen_silent(town, "r46", 15.0).verdict == "WORSE":
        return
    wait_until(lambda: town.status().phase == "aborted", "the deadline")
    assert town.status().reason == "deadline:inconclusive"
    assert current(town.store, POLICY).version == "base"


def test_a_canary_whose_answers_get_lost_is_suspended_and_the_hop_is_named(town: Town) -> None:
    """U16: the replica has counted whom it drew, so what is missing went missing after the draw."""
    rng, tastes = random.Random(4), {"r44": Taste(lost=0.4)}
    town.start("r44", steps=[{"weight": 0.5, "duration_s": 99.0, "deadline_s": 100.0}])
    town.wait_for_table(lambda table: table.canary is not None and town.replica.view.grant().ok)
    lossy = town.until(lambda status: "sample_ratio" in "".join(status.reasons), tastes, rng)
    assert (lossy.verdict, lossy.reasons) == ("UNMEASURED", ("sample_ratio:matured",))
    ((weight, units, canary),) = town.replica.assignments.drawn().counts
    assert weight == 0.5
    assert lossy.canary.units < 0.8 * canary
    assert lossy.stable.units <= units - canary
    assert lossy.matured.e >= 1000 > lossy.assigned.e
    assert lossy.matured.canary < 0.8 * lossy.assigned.canary
    town.engine.abort(POLICY, lossy.generation)


def test_a_canary_whose_displeased_users_fool_the_first_judge_is_caught_by_the_second(town: Town) -> None:
    rng, tastes = random.Random(55), {"r45": Taste(pleased=0.5, polite=True)}
    town.start("r45", vetoes=[{"name": "failures", "base_rate": 0.01}, {"name": "audit"}, {"name": "refusals"}])
    town.wait_for_table(lambda table: table.canary is not None and town.replica.view.grant().ok)
    done = town.until(lambda status: status.phase in ("aborted", "promoted"), tastes, rng)
    assert done.reason == "worse:veto:audit"
    # The first judge alone would have found nothing.
    assert done.canary.mean > done.stable.mean - 0.1
    failures, audit, refusals = done.vetoes
    assert audit.e >= audit.e_needed > failures.e
    assert audit.canary.harm > audit.stable.harm + 0.3
    assert refusals.canary.units > 0
    assert (refusals.fired, refusals.canary.harm) == (False, 0.0)


def test_a_harmless_canary_is_promoted_and_its_record_names_why(town: Town) -> None:
    rng = random.Random(3)
    town.start("r43")
    town.wait_for_table(lambda table: table.canary is not None and town.replica.view.grant().ok)
    done = town.until(lambda status: status.phase == "promoted", {}, rng)
    pointer = current(town.store, POLICY)
    assert (pointer.version, pointer.generation, pointer.replaces, pointer.previous) == ("r43", 2, 1, "base")
    assert pointer.reported == (pointer.digest,)
    assert len(pointer.verdict_digest) == 64
    assert done.stable_version == "r43"
    town.wait_for_table(lambda table: table.stable.version == "r43" and table.canary is None)
    wait_until(lambda: town.status().reason == "promoted", "the end of the watch")


def test_nobody_of_the_holdout_was_ever_shown_a_canary(town: Town) -> None:
    held = {
        answer.user_id
        for answer in town.shown
        if bucket(unit_id("", answer.user_id, "", ""), Salts().holdout) < HOLDOUT
    }
    shown = {answer.user_id for answer in canaries(town.shown)}
    assert len(held) > 50
    assert len(shown) > 100
    assert not held & shown
    assert {a.served.version for a in canaries(town.shown)} >= {"r41", "r42", "r43", "r44", "r45"}


def test_what_does_not_exist_is_not_started(town: Town) -> None:
    with pytest.raises(NotFound):
        town.start("r99")
    with pytest.raises(NotFound):
        town.engine.get("another")
