"""decide/backends: the same container whatever holds it, and one way to see how far it is."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder_operator.decide.backends import job_seen, kind_of, wrapped
from rejoinder_operator.decide.jobs import QUEUE_LABEL, Pods, job, job_name

from tests.operator.decide.test_jobs import META, TRAIN, spec

BACKENDS: dict[str, dict[str, Any]] = {
    "job": {"backend": "job"},
    "jobset": {"backend": "jobset"},
    "trainjob": {"backend": "trainjob", "runtime": "torch"},
}


def made(backend: str, **training: Any) -> dict[str, Any]:
    round_ = spec(**BACKENDS[backend], **training)
    return wrapped(job(round_, META, "train", 1, TRAIN, Pods()), round_.training)


def seen(kind: str, suspend: bool = False, **status: Any) -> Any:
    meta = {"name": "assist-r0001-train-1", "uid": "j1"}
    return job_seen({"kind": kind, "metadata": meta, "spec": {"suspend": suspend}, "status": status}, "u1")


def test_only_the_train_stage_is_another_kind() -> None:
    training = spec(backend="jobset").training
    assert [kind_of(training, stage) for stage in ("prepare", "train", "finish")] == ["Job", "JobSet", "Job"]
    assert kind_of(spec().training, "train") == "Job"


def test_a_job_set_holds_the_very_job_and_tries_nothing_again() -> None:
    plain, held = made("job"), made("jobset")
    assert held["metadata"]["labels"] == plain["metadata"]["labels"]
    (inner,) = held["spec"]["replicatedJobs"]
    assert inner["template"]["spec"]["template"] == plain["spec"]["template"]
    assert held["spec"]["failurePolicy"]["maxRestarts"] == inner["template"]["spec"]["backoffLimit"] == 0


def test_a_train_job_gives_its_runtime_the_same_container() -> None:
    plain, held = made("job")["spec"]["template"]["spec"], made("trainjob")["spec"]
    (container,) = plain["containers"]
    trainer, (override,) = held["trainer"], held["podTemplateOverrides"]
    assert (trainer["image"], trainer["args"], trainer["env"]) == tuple(container[k] for k in ("image", "args", "env"))
    assert override["spec"]["volumes"] == plain["volumes"]
    assert override["spec"]["containers"] == [{"name": "node", "volumeMounts": container["volumeMounts"]}]
    assert held["runtimeRef"] == {"name": "torch"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_queue_lets_each_of_them_go(backend: str) -> None:
    for queue in ("", "ml"):
        one = made(backend, queueName=queue)
        assert one["spec"]["suspend"] == bool(queue)
        assert one["metadata"]["labels"].get(QUEUE_LABEL, "") == queue


def test_names_leave_room_for_the_jobs_that_are_made_of_them() -> None:
    assert len(job_name("a" * 63, "train", 1, "JobSet")) == 40
    assert made("jobset")["metadata"]["name"] == "assist-r0001-train-1"


def test_how_far_each_kind_is() -> None:
    done = {"type": "Completed", "status": "True", "reason": "AllJobsCompleted"}
    refused = {"type": "Failed", "status": "True", "reason": "FailJobSetFailurePolicyAction"}
    resumed = {"type": "Suspended", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    counts = [{"name": "train", "ready": 1, "active": 1}]
    running = seen("JobSet", conditions=[resumed], replicatedJobsStatus=counts)
    assert (running.ready, running.started, running.succeeded) == (1, "2026-01-01T00:00:00Z", False)
    assert seen("JobSet", conditions=[done]).succeeded
    assert seen("JobSet", conditions=[refused]).refused
    assert not seen("JobSet", conditions=[{**refused, "reason": "FailedJobs"}]).refused
    # A TrainJob that runs has no condition that says so.
    assert seen("TrainJob", jobsStatus=[{"name": "node", "ready": 1}]).ready == 1
    assert seen("TrainJob", suspend=True).suspended
    assert seen("TrainJob", conditions=[{**done, "type": "Complete"}]).succeeded
    assert seen("TrainJob", conditions=[{**refused, "reason": "X"}]).failed == "X"
