"""Helm as a person uses it, against the node."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.processes import ends_with_us
from tests.cluster.chart.rendered import CHART, program
from tests.cluster.images.build import REGISTRY, REPOSITORY, TAG
from tests.cluster.node.node import Node

#: Seconds of one command; charts wait for their pods.
PATIENCE_S = 300
#: What every installation here says: our images, and no waits that only a busy cluster needs.
VALUES: Mapping[str, Any] = {
    "image": {"registry": REGISTRY, "repository": REPOSITORY, "tag": TAG, "pullPolicy": "Never"},
    "pods": {"preStopSeconds": 1, "minReadySeconds": 0},
}


class Failed(Exception):
    """Helm's words."""


def helm(node: Node, namespace: str, *words: str, values: Mapping[str, Any] | None = None) -> str:
    """What it printed. Raises Failed."""
    home = {f"HELM_{name}_HOME": str(node.folder / "helm") for name in ("CACHE", "CONFIG", "DATA")}
    command = node.command(program("helm"), "--kubeconfig", str(node.kubeconfig), "--namespace", namespace, *words)
    if values is not None:
        file = node.folder / f"{namespace}-values.json"
        file.write_text(json.dumps(values))
        command += ["--values", str(file)]
    done = subprocess.run(
        command,
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S + 30,
        check=False,
        preexec_fn=ends_with_us(signal.SIGKILL),
    )
    if done.returncode:
        raise Failed(f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}\n{told(node, namespace)}")
    return done.stdout


def install(node: Node, namespace: str, release: str, values: Mapping[str, Any], chart: Path = CHART) -> str:
    """Returns when every pod is ready. Raises Failed."""
    command = ("install", release, str(chart), "--wait", f"--timeout={PATIENCE_S}s")
    return helm(node, namespace, *command, values=merged(VALUES, values))


def upgrade(node: Node, namespace: str, release: str, values: Mapping[str, Any]) -> str:
    """Returns when every pod is the new one and ready. Raises Failed."""
    command = ("upgrade", release, str(CHART), "--wait", f"--timeout={PATIENCE_S}s")
    return helm(node, namespace, *command, values=merged(VALUES, values))


def merged(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays them."""
    made = dict(one)
    for name, value in two.items():
        both = isinstance(value, Mapping) and isinstance(made.get(name), Mapping)
        made[name] = merged(made[name], value) if both else value
    return made


def told(node: Node, namespace: str) -> str:
    """What a person would look at: each pod with its containers' states and last words, and the events."""
    lines = []
    for pod in node.call("GET", f"/api/v1/namespaces/{namespace}/pods").body["items"]:
        name, status = pod["metadata"]["name"], pod["status"]
        lines.append(f"--- pod {name}: {status['phase']}")
        for each in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
            lines.append(f"{each['name']}: restarts {each['restartCount']} {json.dumps(each['state'])[:500]}")
            if each["state"].get("waiting", {}).get("reason") != "PodInitializing":
                lines.append(node.log_of(namespace, name, each["name"])[-2500:])
                if each["restartCount"]:
                    lines.append("before: " + node.log_of(namespace, name, each["name"], previous=True)[-2500:])
    events = node.call("GET", f"/api/v1/namespaces/{namespace}/events").body["items"]
    lines += [
        f"{e['involvedObject']['name']}: {e['reason']}: {e['message'][:300]}" for e in events if e["type"] != "Normal"
    ]
    return "\n".join(lines)
