"""From the version before to this one in the middle of a canary, and back: nobody changes arms, and the rollout is
decided. That an upgrade loses no call is test_restarts' to show."""

from __future__ import annotations

import time
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
    world.people.react(12, lambda served: True)
    met, begun, old = world.people.versions(asked), canary(world), operators(world)
    assert set(met.values()) == {VERSION, "assist-base"}

    # As the runbook says: kinds first, which only ever grow; then the processes.
    kinds(world.node)
    upgrade(world.node, world.namespace, "rejoinder", merged(world.values, pictures(world.node)))
    new = operators(world)
    assert not new & old
    as_before(world, begun, met)

    helm(world.node, world.namespace, "rollback", "rejoinder", "1", "--wait", f"--timeout={PATIENCE_S}s")
    assert not operators(world) & new
    as_before(world, begun, met)

    reacting(world, lambda served: True, lambda: canary(world)["phase"] in ("Promoted", "Aborted"))
    assert canary(world)["phase"] == "Promoted", canary(world)
    world.until(lambda: world.served() == VERSION, "promoted version")


def canary(world: World) -> dict[str, Any]:
    """The rollout's status, and its uid."""
    found = world.node.call("GET", path("PolicyRollout", world.namespace, VERSION))
    if found.status != 200:
        return {"phase": ""}
    return {"phase": "", **found.body.get("status", {}), "uid": found.body["metadata"]["uid"]}


def as_before(world: World, begun: dict[str, Any], met: dict[str, str]) -> None:
    """Waits until everybody has the arm that they had. A replica that has just started serves stable until it has read
    the arms and loaded the canary, so for seconds more people have stable; nobody who had it ever has the canary."""
    restarted = time.monotonic()

    def back() -> bool:
        now = world.people.versions(list(met))
        assert not [user for user, version in now.items() if version != met[user] and version == VERSION]
        return now == met

    world.until(back, "arms as they were")
    print(f"arms as before {time.monotonic() - restarted:.1f} s after the last pod was ready")
    assert same(begun, canary(world))


def same(begun: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether it is the same rollout, exposed as it was."""
    return all(begun[name] == now[name] for name in ("uid", "weights"))


def operators(world: World) -> set[str]:
    """Uids of the operator's pods."""
    return {
        pod["metadata"]["uid"]
        for pod in world.node.call("GET", f"/api/v1/namespaces/{world.namespace}/pods").body["items"]
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "operator"
        and not pod["metadata"].get("deletionTimestamp")
    }
