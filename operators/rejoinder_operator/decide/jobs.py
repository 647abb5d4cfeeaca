"""A stage of a round as a Job: restricted pods, one attempt a Job, the work in the loop's volume.

prepare and finish are `python -m rejoinder.rounds STAGE`; train is the stage contract (STAGE.md), our own program or an
external image. Exit status 2 means that a person must mend something: no further attempt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder_operator.api.fields import API_VERSION, seconds
from rejoinder_operator.api.loops import Training
from rejoinder_operator.api.rounds import RoundSpec
from rejoinder_operator.decide.backends import kind_of

STAGES = ("prepare", "train", "finish")
ROUND_LABEL, STAGE_LABEL, QUEUE_LABEL = "rejoinder.dev/round", "rejoinder.dev/stage", "kueue.x-k8s.io/queue-name"
#: Where the loop's volume is in every stage.
WORK = "/volume"
_NOT_ROOT = 65532
_MENDABLE = 2
#: Models' threads wait asleep: beside busy pods, spinning ones make a round many times slower.
_WAITING = [{"name": "OMP_WAIT_POLICY", "value": "passive"}]
#: Seconds that an ended Job stays: its log is what a person reads after a failure.
_KEPT_S = 7 * 86_400


@dataclass(frozen=True)
class Pods:
    """What the installation gives the stages' pods. config_map: with `rounds.yaml`, the settings of our stages.
    secret: mounted at /etc/rejoinder/secrets, "" for none."""

    service_account: str = "default"
    config_map: str = "rejoinder-rounds"
    secret: str = ""
    labels: tuple[tuple[str, str], ...] = ()


def job_name(round_name: str, stage: str, attempt: int, kind: str = "Job") -> str:
    """At most 63 characters, or what JobSet and TrainJob leave of them for the Jobs they make; a long name is cut and
    closed with its digest."""
    name, longest = f"{round_name}-{stage}-{attempt}".replace(".", "-"), 63 if kind == "Job" else 40
    if len(name) <= longest:
        return name
    return f"{name[: longest - 11]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def owner(kind: str, name: str, uid: str) -> dict[str, Any]:
    """The reference that lets Kubernetes delete a child with its parent."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def job(
    spec: RoundSpec,
    meta: Mapping[str, Any],
    stage: str,
    attempt: int,
    train: Mapping[str, str] | None,
    pods: Pods,
) -> dict[str, Any]:
    """meta: the PolicyRound's metadata. train: what `prepare` wrote down: paths below the volume."""
    training, queued = spec.training, bool(spec.training.queue_name) and stage == "train"
    labels = {**dict(pods.labels), ROUND_LABEL: meta["name"], STAGE_LABEL: stage}
    labels |= {"app.kubernetes.io/managed-by": "rejoinder-operator", "app.kubernetes.io/component": "round"}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(meta["name"], stage, attempt, kind_of(training, stage)),
            "namespace": meta["namespace"],
            "labels": labels | ({QUEUE_LABEL: training.queue_name} if queued else {}),
            "ownerReferences": [owner("PolicyRound", meta["name"], meta["uid"])],
        },
        "spec": {
            # Each attempt is a Job of its own, written down first; a Job that retried by itself would hide them.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "suspend": queued,
            "activeDeadlineSeconds": round(seconds(training.active_deadline)),
            "ttlSecondsAfterFinished": _KEPT_S,
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onExitCodes": {"containerName": stage, "operator": "In", "values": [_MENDABLE]},
                    },
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(spec, stage, train or {}, pods)},
        },
    }


def _pod(spec: RoundSpec, stage: str, train: Mapping[str, str], pods: Pods) -> dict[str, Any]:
    external = stage == "train" and spec.training.image is not None
    mounts: list[dict[str, Any]] = [{"name": "work", "mountPath": WORK}, {"name": "tmp", "mountPath": "/tmp"}]
    volumes: list[dict[str, Any]] = [
        {"name": "work", "persistentVolumeClaim": {"claimName": spec.volume.claim_name}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
    ]
    if stage != "train":
        # Addresses and credentials are for our own stages; a training image sees the pairs and nothing else.
        mounts.append({"name": "settings", "mountPath": "/etc/rejoinder/settings", "readOnly": True})
        volumes.append({"name": "settings", "configMap": {"name": pods.config_map}})
        if pods.secret:
            mounts.append({"name": "secrets", "mountPath": "/etc/rejoinder/secrets", "readOnly": True})
            volumes.append({"name": "secrets", "secret": {"secretName": pods.secret}})
    template = spec.training.template
    container: dict[str, Any] = {
        "name": stage,
        "image": spec.training.image if external else spec.image,
        "args": _arguments(spec, stage, train),
        "env": [*_environment(spec, stage), *([] if external else _WAITING), {"name": "HOME", "value": "/tmp"}],
        "volumeMounts": mounts,
        "resources": {name: value for name, value in _resources(template, stage).items() if value},
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    command = _command(spec.training, stage)
    if command:
        container["command"] = command
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "serviceAccountName": pods.service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOT_ROOT,
            "runAsGroup": _NOT_ROOT,
            "fsGroup": _NOT_ROOT,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }
    if stage == "train":
        chosen = {
            "nodeSelector": template.node_selector,
            "tolerations": [dict(each) for each in template.tolerations],
            "priorityClassName": template.priority_class_name,
            "runtimeClassName": template.runtime_class_name,
        }
        pod |= {name: value for name, value in chosen.items() if value}
    return pod


def _resources(template: Any, stage: str) -> dict[str, dict[str, str]]:
    """The train stage's are the loop's; the other two read, build pairs and export on the CPU."""
    if stage == "train":
        return {"requests": dict(template.requests), "limits": dict(template.limits)}
    return {"requests": {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "1Gi"}, "limits": {"memory": "8Gi"}}


def _command(training: Training, stage: str) -> list[str]:
    if stage != "train":
        return ["python", "-m", "rejoinder.rounds"]
    if training.image is not None:
        return list(training.command)
    return ["python", "-m", "rejoinder.training", "run"]


def _arguments(spec: RoundSpec, stage: str, train: Mapping[str, str]) -> list[str]:
    if stage == "train":
        return [
            part for name in ("manifest", "pairs", "base", "out") for part in (f"--{name}", f"{WORK}/{train[name]}")
        ]
    return [stage, "--settings", "/etc/rejoinder/settings/rounds.yaml"]


def _environment(spec: RoundSpec, stage: str) -> list[dict[str, str]]:
    if stage == "train":
        return []
    told = {
        "POLICY": spec.policy,
        "NUMBER": str(spec.number),
        "HOLDER": spec.loop.uid,
        "EVIDENCE": spec.evidence,
        "STABLE": spec.stable.version if spec.stable else "",
        "BASE": f"{WORK}/{spec.base_model.path}",
        "BASE_DIGEST": spec.base_model.digest,
        "BASE_EXPORT": spec.base_model.export,
        "FOLDER": WORK,
        "RECIPE": json.dumps(spec.recipe, sort_keys=True),
    }
    return [{"name": f"REJOINDER_ROUNDS__ROUND__{name}", "value": value} for name, value in told.items()]
