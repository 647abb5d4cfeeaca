"""A PreferenceLoop's whole life in real pods: traffic, signals, a round's three Jobs, the gate, a rollout, a promotion;
then a version that people dislike, which is taken back. What people think is the test's; the rest is the product."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from rejoinder_operator.ports.cluster import path

from tests.cluster.node.life import ROLLOUT, World, living, loop, pictures, reacting
from tests.cluster.node.node import Node

pytestmark = [pytest.mark.system, pytest.mark.proof, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def world(node: Node) -> Iterator[World]:
    with living(node, pictures(node)) as made:
        yield made


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
