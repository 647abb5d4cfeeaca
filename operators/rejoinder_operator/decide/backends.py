"""The train stage within another kind than a Job, and how far any of the three is.

A JobSet holds the Job as it would be; a TrainJob gives its runtime the same container. Both are made suspended where a
queue is named, and neither tries again by itself: attempts are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder_operator.api.loops import Training

Object = dict[str, Any]

#: Backend → kind; every other one is a Job.
KINDS: Mapping[str, str] = {"jobset": "JobSet", "trainjob": "TrainJob"}
_VERSIONS = {"JobSet": "jobset.x-k8s.io/v1alpha2", "TrainJob": "trainer.kubeflow.org/v1alpha1"}
#: Of the replicated job and its container, in JobSets of ours and in the runtimes of TrainJobs.
_TRAIN, _NODE = "train", "node"
#: What says that a person must mend something, by kind; a TrainJob does not tell.
_REFUSED = frozenset({"PodFailurePolicy", "FailJobSetFailurePolicyAction"})


@dataclass(frozen=True)
class JobSeen:
    """owner: uid of the controller, "" for none. started: when it was last let go, "" before. failed: the reason of its
    Failed condition, "" while there is none. refused: it says that a person must mend something."""

    name: str
    uid: str
    owner: str
    suspended: bool = False
    started: str = ""
    ready: int = 0
    active: int = 0
    succeeded: bool = False
    failed: str = ""
    kind: str = "Job"

    @property
    def refused(self) -> bool:
        return self.failed in _REFUSED


def kind_of(training: Training, stage: str) -> str:
    return KINDS.get(training.backend, "Job") if stage == "train" else "Job"


def wrapped(made: Object, training: Training) -> Object:
    """The Job of a train stage as the loop's backend has it."""
    kind = kind_of(training, "train")
    if kind == "Job":
        return made
    spec = _job_set(made) if kind == "JobSet" else _train_job(made, training)
    return {"apiVersion": _VERSIONS[kind], "kind": kind, "metadata": made["metadata"], "spec": spec}


def _job_set(made: Object) -> dict[str, Any]:
    job = {name: value for name, value in made["spec"].items() if name not in ("suspend", "ttlSecondsAfterFinished")}
    mend = {"name": "mend", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    return {
        "suspend": made["spec"]["suspend"],
        "ttlSecondsAfterFinished": made["spec"]["ttlSecondsAfterFinished"],
        "failurePolicy": {"maxRestarts": 0, "rules": [mend]},
        "replicatedJobs": [{"name": _TRAIN, "replicas": 1, "template": {"spec": job}}],
    }


def _train_job(made: Object, training: Training) -> dict[str, Any]:
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    trainer = {name: container[name] for name in ("image", "command", "args", "env") if name in container}
    if container["resources"]:
        trainer["resourcesPerNode"] = container["resources"]
    override = {
        name: pod[name] for name in ("serviceAccountName", "nodeSelector", "tolerations", "volumes") if name in pod
    }
    override["containers"] = [{"name": _NODE, "volumeMounts": container["volumeMounts"]}]
    return {
        "suspend": made["spec"]["suspend"],
        "runtimeRef": {"name": training.runtime},
        "trainer": {**trainer, "numNodes": 1},
        "podTemplateOverrides": [
            {"targetJobs": [{"name": _NODE}], "metadata": made["spec"]["template"]["metadata"], "spec": override}
        ],
    }


def job_seen(found: Object, owner: str) -> JobSeen:
    """An object of one of the three kinds as a round needs it. A TrainJob does not say Running, its jobs do."""
    status, meta = found.get("status", {}), found["metadata"]
    kind = found.get("kind", "Job")
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    holds = {name: each.get("reason", "") for name, each in conditions.items() if each["status"] == "True"}
    if kind == "Job":
        started, counts = status.get("startTime") or "", [status]
    else:
        resumed = conditions.get("Suspended", {})
        started = resumed.get("lastTransitionTime", "") if resumed.get("status") == "False" else ""
        counts = status.get("replicatedJobsStatus" if kind == "JobSet" else "jobsStatus") or []
    return JobSeen(
        name=meta["name"],
        uid=meta["uid"],
        owner=owner,
        suspended=bool(found["spec"].get("suspend")),
        started=started,
        ready=sum(each.get("ready") or 0 for each in counts),
        active=sum(each.get("active") or 0 for each in counts),
        succeeded="Complete" in holds or "Completed" in holds,
        failed=(holds["Failed"] or "Failed") if "Failed" in holds else "",
        kind=kind,
    )
