"""From the version before to this one in the middle of a canary, and back: nobody changes arms, no call is lost, and
the rollout that one version began is decided after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rejoinder_operator.ports.cluster import path

from tests.cluster.node import previous
from tests.cluster.node.helm import PATIENCE_S, helm, merged, upgrade
from tests.cluster.node.life import ROLLOUT, World, kinds, living, loop, pictures, reacting
from tests.cluster.node.node import Node

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(3000)]

VERSION = "assist-r0001"
#: Undecided until people are asked to judge: so many must have judged that the restarts come before.
SLOW: dict[str, Any] = {
    **ROLLOUT,
    "steps": [{"weight": 50, "duration": "5s", "deadline": "60m"}],
    "analysis": {**ROLLOUT["analysis"], "minUnits": 40},
}


@pytest.fixture(scope="module")
def world(node: Node) -> Iterator[World]:
    if missing := previous.missing():
        pytest.skip(missing)
    before = pictures(node, previous.TRAINING, previous.TAG)
    with living(node, before, previous.source()) as made:
        yield made


def test_a_canary_lives_through_an_upgrade_and_a_rollback(world: World) -> None:
    world.make("PolicyRollout", "template", SLOW)
    world.make("PreferenceLoop", "assist", loop())
    world.until(lambda: world.served() == "assist-base", "served version")
    world.people.edit(90)
    world.until(lambda: world.outcome(VERSION) == "published", "end of the round")
    asked = [f"regular-{n}" for n in range(24)]
    world.until(lambda: VERSION in world.people.versions(asked).values(), "people on the canary")
    met, begun, old = world.people.versions(asked), canary(world), operators(world)
    assert set(met.values()) == {VERSION, "assist-base"}

    with world.people.asking() as errors:
        # As the runbook says: kinds first, which only ever grow; then the processes.
        kinds(world.node)
        upgrade(world.node, world.namespace, "rejoinder", merged(world.values, pictures(world.node)))
        new = operators(world)
        assert not new & old
        assert same(begun, canary(world))
        assert world.people.versions(asked) == met

        helm(world.node, world.namespace, "rollback", "rejoinder", "1", "--wait", f"--timeout={PATIENCE_S}s")
        assert not operators(world) & new
        assert same(begun, canary(world))
        assert world.people.versions(asked) == met
    print(f"{len(world.people.seen)} answers")
    assert not errors

    reacting(world, lambda served: True, lambda: canary(world)["phase"] in ("Promoted", "Aborted"))
    assert canary(world)["phase"] == "Promoted", canary(world)
    world.until(lambda: world.served() == VERSION, "promoted version")


def canary(world: World) -> dict[str, Any]:
    """The rollout's status, and its uid."""
    found = world.node.call("GET", path("PolicyRollout", world.namespace, VERSION))
    if found.status != 200:
        return {"phase": ""}
    return {"phase": "", **found.body.get("status", {}), "uid": found.body["metadata"]["uid"]}


def same(begun: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether it is the same rollout, exposed as it was."""
    return all(begun[name] == now[name] for name in ("uid", "phase", "weights"))


def operators(world: World) -> set[str]:
    """Uids of the operator's pods."""
    return {
        pod["metadata"]["uid"]
        for pod in world.node.call("GET", f"/api/v1/namespaces/{world.namespace}/pods").body["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "operator"
        and not pod["metadata"].get("deletionTimestamp")
    }
