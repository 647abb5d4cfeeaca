"""A PreferenceLoop's whole life in real pods: traffic, signals, a round's three Jobs, the gate, a rollout, a promotion;
then a version that people dislike, which is taken back. What people think is the test's; the rest is the product."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from rejoinder.core.types import Served
from rejoinder.registry.artefacts import folder_digest
from rejoinder.registry.embedded import folder_of
from rejoinder_operator.api.fields import API_VERSION
from rejoinder_operator.ports.cluster import path

from tests.cluster.images.dockerfile import ROOT
from tests.cluster.node.conftest import restricted
from tests.cluster.node.helm import helm, install, merged, told
from tests.cluster.node.node import Node
from tests.cluster.node.people import People
from tests.cluster.node.processes import around
from tests.cluster.node.training import REFERENCE
from tests.operator.world import ROLLOUT as MODEL

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(1800)]

#: Seconds until something that takes a minute or two has happened, on a loaded machine.
PATIENCE_S = 900.0
#: Decided within a few hundred people; a loaded node needs longer for them.
ROLLOUT: dict[str, Any] = {**MODEL, "steps": [{"weight": 50, "duration": "5s", "deadline": "10m"}]}


@dataclass(frozen=True)
class World:
    node: Node
    namespace: str
    people: People

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


@pytest.fixture(scope="module")
def world(node: Node) -> Iterator[World]:
    namespace = restricted(node)
    volumes = [node.folder / "volumes" / node.volume() for _ in range(2)]
    helm(node, "default", "upgrade", "--install", "kinds", str(ROOT / "charts" / "rejoinder-crds"))
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
                "settings": {"rounds": {"image": node.by_digest(REFERENCE), "evidence_s": 2}},
                "rounds": {"existingSecret": "rejoinder-rounds"},
            },
        }
        install(node, namespace, "rejoinder", merged(beside.values(), operator))

        def address(service: str, port: int) -> str:
            found = node.call("GET", f"/api/v1/namespaces/{namespace}/services/{service}").body
            return stack.enter_context(node.relay(found["spec"]["clusterIP"], port)).address

        people = People(address("rejoinder-policy", 50052), address("rejoinder-feedback", 50051), beside.tokens["app"])
        stack.callback(people.close)
        yield World(node, namespace, people)
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


def test_a_loop_retrains_and_promotes_what_people_like_and_takes_back_what_they_do_not(world: World) -> None:
    world.make("PolicyRollout", "template", ROLLOUT)
    world.make("PreferenceLoop", "assist", loop())
    world.until(lambda: world.served() == "assist-base", "served version")

    # Traffic becomes evidence, evidence a round, a round three Jobs in pods.
    world.people.edit(90)
    world.until(lambda: world.outcome("assist-r0001") != "", "end of the round")
    assert world.outcome("assist-r0001") == "published", world.get("PolicyRound", "assist-r0001")["status"]
    world.until(lambda: all(world.jobs().values()), "completed Jobs")
    assert sorted(world.jobs()) == [f"assist-r0001-{stage}-1" for stage in ("finish", "prepare", "train")]

    # Nobody is displeased: the version is promoted.
    reacting(world, lambda served: True, lambda: world.phase("assist-r0001") in ("Promoted", "Aborted"))
    assert world.phase("assist-r0001") == "Promoted", world.get("PolicyRollout", "assist-r0001")["status"]
    world.until(lambda: world.served() == "assist-r0001", "promoted version")
    assert any(canary and version == "assist-r0001" for _, version, canary in world.people.seen)

    # A second round, by a person's word; its version displeases whoever meets it.
    world.people.edit(60)
    said = {"metadata": {"annotations": {"rejoinder.dev/retrigger": "again"}}}
    asked = world.node.call("PATCH", path("PreferenceLoop", world.namespace, "assist"), said, kind="merge-patch+json")
    assert asked.status == 200
    world.until(lambda: world.outcome("assist-r0002") != "", "end of the second round")
    assert world.outcome("assist-r0002") == "published", world.get("PolicyRound", "assist-r0002")["status"]
    reacting(world, lambda served: served.version != "assist-r0002", lambda: world.phase("assist-r0002") == "Aborted")
    status = world.get("PolicyRollout", "assist-r0002")["status"]
    assert status["reason"].startswith("worse:satisfaction")
    # Effective: ten seconds after the verdict nobody meets it any more.
    decided = datetime.fromisoformat(status["verdict"]["at"]).timestamp()
    while time.time() < decided + 15.0:
        world.people.react(6, lambda served: True)
    met = [at for at, version, _ in world.people.seen if version == "assist-r0002"]
    print(f"people who met the bad version: {len(met)}, the last {max(met) - decided:+.1f} s after the verdict")
    assert max(met) <= decided + 10.0
    assert world.served() == "assist-r0001"
