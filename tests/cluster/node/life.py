"""A release with all its processes, its people, and a loop: what every test of a life on the node begins with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.types import Served
from rejoinder.registry.artefacts import folder_digest
from rejoinder.registry.embedded import folder_of
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.ports.cluster import path

from tests.cluster.images.build import TAG
from tests.cluster.images.dockerfile import ROOT
from tests.cluster.node.conftest import restricted
from tests.cluster.node.helm import helm, install, merged, told
from tests.cluster.node.node import Node
from tests.cluster.node.people import People
from tests.cluster.node.processes import around
from tests.cluster.node.training import REFERENCE
from tests.operator.world import ROLLOUT as MODEL

#: Seconds until something that takes a minute or two has happened, on a loaded machine.
PATIENCE_S = 900.0
#: Decided within a few hundred people; a loaded node needs longer for them.
ROLLOUT: dict[str, Any] = {**MODEL, "steps": [{"weight": 50, "duration": "5s", "deadline": "10m"}]}


@dataclass(frozen=True)
class World:
    """values: of the release `rejoinder`, as it was installed."""

    node: Node
    namespace: str
    people: People
    values: dict[str, Any]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.node.call("GET", path(kind, self.namespace, name)).body

    def make(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
        made = self.node.call("POST", path(kind, self.namespace) + "?fieldValidation=Strict", body)
        assert made.status == 201, made.body

    def until(self, holds: Callable[[], bool], what: str) -> None:
        self.node.until(holds, what, PATIENCE_S, lambda: told(self.node, self.namespace))

    def served(self) -> str:
        status = self.get("PreferenceLoop", "assist").get("status", {})
        return (status.get("servedPolicy") or {}).get("version", "")

    def jobs(self) -> dict[str, bool]:
        """Name → whether it was completed."""
        found = self.node.call("GET", path("Job", self.namespace)).body["items"]
        return {
            each["metadata"]["name"]: bool(each["status"].get("succeeded"))
            for each in found
            if each["metadata"]["labels"].get("rejoinder.dev/stage")
        }

    def outcome(self, name: str) -> str:
        found = self.node.call("GET", path("PolicyRound", self.namespace, name))
        return found.body.get("status", {}).get("outcome", "") if found.status == 200 else ""

    def phase(self, version: str) -> str:
        found = self.node.call("GET", path("PolicyRollout", self.namespace, version))
        return found.body.get("status", {}).get("phase", "") if found.status == 200 else ""


def kinds(node: Node, source: Path = ROOT) -> None:
    """Installs or upgrades the kinds of a source tree."""
    helm(node, "default", "upgrade", "--install", "kinds", str(source / "charts" / "rejoinder-crds"))


def pictures(node: Node, training: str = REFERENCE, tag: str = TAG) -> dict[str, Any]:
    """Values that name a version's images."""
    return {"image": {"tag": tag}, "operator": {"settings": {"rounds": {"image": node.by_digest(training)}}}}


@contextmanager
def living(node: Node, pictures: dict[str, Any], source: Path = ROOT) -> Iterator[World]:
    """The kinds and the chart of a source tree, by these images, until every pod is ready; gone afterwards."""
    namespace = restricted(node)
    volumes = [node.folder / "volumes" / node.volume() for _ in range(2)]
    kinds(node, source)
    with ExitStack() as stack:
        beside = stack.enter_context(around(node))
        beside.make_secrets(node, namespace)
        for each in volumes:
            # As somebody brings it who begins: the model lies on the volume before anything is installed.
            shutil.copytree(folder_of("base"), each / "base")
        operator = {
            "rollouts": {"enabled": False},
            "operator": {
                "enabled": True,
                "settings": {"rounds": {"evidence_s": 2}},
                "rounds": {"existingSecret": "rejoinder-rounds"},
            },
        }
        values = merged(merged(beside.values(), operator), pictures)
        install(node, namespace, "rejoinder", values, source / "charts" / "rejoinder")

        def address(service: str, port: int) -> str:
            found = node.call("GET", f"/api/v1/namespaces/{namespace}/services/{service}").body
            return stack.enter_context(node.relay(found["spec"]["clusterIP"], port)).address

        people = People(address("rejoinder-policy", 50052), address("rejoinder-feedback", 50051), beside.tokens["app"])
        stack.callback(people.close)
        yield World(node, namespace, people, values)
        helm(node, namespace, "uninstall", "rejoinder", "--wait")


def loop() -> dict[str, Any]:
    return {
        "policy": "assist",
        "source": {"maturity": "1s"},
        "trigger": {"minEvidence": 60, "minInterval": "1h"},
        "pairs": {"builders": [{"name": "edits"}], "minPairs": 20},
        "objective": {"name": "dpo", "params": {"beta": "0.3"}},
        "baseModel": {
            "path": "base",
            "digest": f"{folder_digest(folder_of('base'))}",
            "export": f"{folder_digest(folder_of('policy'))}",
        },
        "training": {
            "settings": {"epochs": 1, "max_steps": 6, "pairs_per_step": 16, "probe_pairs": 4, "probe_tokens": 4},
            "template": {"requests": {"cpu": "100m", "memory": "1Gi"}},
        },
        "volume": {"claimName": "rejoinder-registry"},
        "gates": [{"name": "kl", "params": {"max_kl": 50.0}}, {"name": "parity"}],
        "gateSamples": 0,
        "rollout": {"templateRef": {"name": "template"}},
    }


def reacting(world: World, pleased: Callable[[Served], bool], over: Callable[[], bool]) -> None:
    """People ask and react until something holds."""

    def look() -> bool:
        world.people.react(12, pleased)
        return over()

    world.until(look, "end of the rollout")
