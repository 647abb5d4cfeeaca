"""decide/round: every row of the table in its docstring."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rejoinder.registry.claims import Claim
from rejoinder_operator.conditions import stamp
from rejoinder_operator.decide import round as rounds
from rejoinder_operator.decide.actions import CloseNumber, CreateChild, Decision, DeleteChild
from rejoinder_operator.decide.backends import JobSeen
from rejoinder_operator.decide.round import Ended, RoundWorld, decide_round

from tests.operator.decide.test_jobs import META, TRAIN, spec

NOW = 1_700_000_000.0
CLAIM = Claim("assist", 1, "k8s/team/u0", NOW - 60)
LATE = stamp(NOW - 3600)


def stage(name: str, state: str = "Begun", attempt: int = 1, began: str = "") -> dict[str, Any]:
    job = f"assist-r0001-{name}-{attempt}"
    return {"name": name, "attempt": attempt, "job": job, "state": state, "beganAt": began or stamp(NOW)}


def ran(name: str, attempt: int = 1, owner: str = "u1", **fields: Any) -> JobSeen:
    return JobSeen(f"assist-r0001-{name}-{attempt}", f"j-{name}", owner, **fields)


def decided(
    *jobs: JobSeen, stages: Any = (), meta: Any = (), status: Any = (), training: Any = (), **world: Any
) -> Decision:
    seen = {"claim": CLAIM, "train": TRAIN, "jobs": {job.name: job for job in jobs}, **world}
    before = {"stages": list(stages), **dict(status)}
    return decide_round(spec(**dict(training)), META | dict(meta), before, RoundWorld(**seen), NOW)


PREPARED = stage("prepare", "Succeeded")
DONE = [PREPARED, stage("train", "Succeeded"), stage("finish", "Succeeded")]
ROWS: dict[str, Decision] = {
    "deleting": decided(meta={"deletionTimestamp": LATE}),
    "over": decided(status={"outcome": "refused", "phase": "Refused"}),
    "ended": decided(stages=DONE, ended=Ended("published", (), "assist-r0001", "5" * 64)),
    "unclaimed": decided(claim=None, stages=DONE),
    "lost": decided(claim=Claim("assist", 1, "k8s/team/u7", NOW)),
    "abort": decided(ran("prepare"), stages=[stage("prepare")], meta={"annotations": {rounds.ABORT: "1"}}),
    "wrong_digest": decided(mismatched=("stable",)),
    "suspended": decided(suspended=True),
    "no_backend": decided(stages=[PREPARED], training={"backend": "jobset"}),
    "begin": decided(),
    "create": decided(stages=[stage("prepare")]),
    "foreign": decided(ran("prepare", owner="u9"), stages=[stage("prepare")]),
    "queued": decided(ran("train", suspended=True), stages=[PREPARED, stage("train")]),
    "not_started": decided(ran("train", active=1), stages=[PREPARED, stage("train", began=LATE)]),
    "running": decided(ran("train", ready=1), stages=[PREPARED, stage("train", began=LATE)]),
    "refused": decided(ran("prepare", failed="PodFailurePolicy"), stages=[stage("prepare")]),
    "retry": decided(ran("train", failed="DeadlineExceeded"), stages=[PREPARED, stage("train")]),
    "failed": decided(ran("train", 3, failed="BackoffLimitExceeded"), stages=[PREPARED, stage("train", attempt=3)]),
    "unclosed": decided(stages=DONE),
}


def test_the_table_its_docstring_and_these_rows_are_one() -> None:
    told = re.findall(r"^\| (\w+) *\|", rounds.__doc__ or "", re.M)[1:]
    assert tuple(told) == rounds.ROW_NAMES == tuple(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_applies_where_its_line_says(row: str) -> None:
    assert ROWS[row].row == row


def test_what_each_row_does() -> None:
    done = {name: tuple(type(action) for action in found.actions) for name, found in ROWS.items() if found.actions}
    assert done == {
        "abort": (DeleteChild, CloseNumber),
        "wrong_digest": (CloseNumber,),
        "create": (CreateChild,),
        "refused": (CloseNumber,),
        "failed": (CloseNumber,),
    }


def test_an_attempt_is_written_down_before_its_job_is_made() -> None:
    assert ROWS["begin"].actions == ()
    assert ROWS["begin"].status["stages"][0]["job"] == "assist-r0001-prepare-1"
    assert ROWS["retry"].actions == ()
    assert [each["attempt"] for each in ROWS["retry"].status["stages"]] == [1, 2]


def test_a_job_of_another_round_of_this_name_is_not_taken_for_ours() -> None:
    """Deleted and made anew, a round has another uid; the old Job may still be going."""
    found = decided(ran("prepare", owner="u9", succeeded=True), stages=[stage("prepare")])
    assert found.row == "foreign"


def test_a_stage_that_succeeded_is_followed_by_the_next() -> None:
    found = decided(ran("prepare", succeeded=True), stages=[stage("prepare")])
    assert found.row == "begin"
    assert [(each["name"], each["state"]) for each in found.status["stages"]] == [
        ("prepare", "Succeeded"),
        ("train", "Begun"),
    ]


def test_a_succeeded_stage_stays_so_when_its_job_is_gone() -> None:
    assert decided(stages=DONE[:2]).row == "begin"


def test_the_train_job_waits_for_what_prepare_wrote_down() -> None:
    found = decided(stages=[PREPARED, stage("train")], train=None)
    assert (found.row, found.actions) == ("create", ())


def test_a_registry_that_is_not_there_ends_no_round() -> None:
    """An unmounted volume is an empty folder: what it says of a round must not be final."""
    assert "outcome" not in ROWS["unclaimed"].status
    assert ROWS["unclaimed"].again_s == 60.0
    assert ROWS["lost"].status["outcome"] == "abandoned"


def test_the_time_in_the_queue_is_not_the_pods() -> None:
    stages = [PREPARED, stage("train", began=LATE)]
    assert decided(ran("train", started=stamp(NOW - 60)), stages=stages).row == "running"
    assert decided(ran("train", started=LATE), stages=stages).row == "not_started"


def test_a_job_that_somebody_deleted_is_made_again() -> None:
    found = decided(stages=[PREPARED, stage("train", "Running")])
    assert (found.row, found.actions[0].manifest["metadata"]["name"]) == ("create", "assist-r0001-train-1")


def test_an_end_that_the_status_cannot_hold_is_cut() -> None:
    found = decided(stages=DONE, ended=Ended("published", tuple("r" for _ in range(40)), "assist-r0001"))
    assert len(found.status["reasons"]) == 32
    assert "version" not in found.status, "the registry has no digest: a status with none would be refused for ever"


def test_an_abort_of_another_number_is_ignored() -> None:
    assert decided(meta={"annotations": {rounds.ABORT: "7"}}).row == "begin"


def test_a_suspended_loop_lets_what_runs_go_to_its_end() -> None:
    assert decided(ran("prepare", ready=1), stages=[stage("prepare")], suspended=True).row == "running"


def test_the_end_is_the_registrys() -> None:
    assert ROWS["ended"].status["version"] == {"version": "assist-r0001", "digest": "5" * 64}
    refused = decided(stages=DONE, ended=Ended("refused", ("pair_accuracy",)))
    gates = next(say for say in refused.said if say.type == "GatesPassed")
    assert (gates.holds, gates.message) == (False, "pair_accuracy")
