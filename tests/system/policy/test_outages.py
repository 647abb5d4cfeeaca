"""Answers flow while the feedback service is down; what was answered reaches the log when it is back (F06)."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from rejoinder.core.types import AttemptStatus, Sampling

from tests.chaos.harness import wait_until
from tests.system.policy.world import World, asking

pytestmark = pytest.mark.system


def ids(world: World) -> Counter[str]:
    return Counter(i.interaction_id for i in world.interactions() if i.status is AttemptStatus.COMPLETED)


def test_answers_flow_while_feedback_is_down_and_are_all_recorded_when_it_returns(world: World) -> None:
    client = world.client()
    asked = [f"before-{n}" for n in range(3)]
    for name in asked:
        world.ask(asking(interaction_id=name), client)
    wait_until(lambda: len(ids(world)) == 3, "the first answers")
    world.feedback.kill()
    during = [f"during-{n}" for n in range(20)]
    for name in during:
        world.ask(asking(interaction_id=name), client)
    assert world.spooled() > 0
    assert set(ids(world)) == set(asked)
    world.feedback.start()
    wait_until(lambda: len(ids(world)) == 23, "the answers of the outage")
    assert ids(world) == Counter([*asked, *during])
    wait_until(lambda: world.spooled() == 0, "an empty spool")


def test_a_process_that_is_told_to_end_while_feedback_is_down_leaves_its_answers_to_the_next(tmp_path: Path) -> None:
    world = World(tmp_path, {"RECORD__DRAIN_S": "0.5"})
    try:
        world.start()
        world.feedback.kill()
        asked = [f"kept-{n}" for n in range(5)]
        for name in asked:
            world.ask(asking(interaction_id=name))
        assert world.policy is not None
        assert world.policy.terminate() == 0
        assert world.spooled() > 0
        world.feedback.start()
        assert not ids(world)
        world.start_policy()
        wait_until(lambda: ids(world) == Counter(asked), "the answers of the process before")
    finally:
        world.close()


def test_a_process_that_is_told_to_end_sends_what_it_has_first(tmp_path: Path) -> None:
    world = World(tmp_path, {"RECORD__DRAIN_S": "25"})
    try:
        client = world.start().client()
        for number in range(5):
            world.ask(asking(interaction_id=f"last-{number}"), client)
        assert world.policy is not None
        assert world.policy.terminate() == 0
        assert len(ids(world)) == 5
        assert world.spooled() == 0
    finally:
        world.close()


def test_a_full_spool_answers_from_stable_and_counts_what_it_drops(tmp_path: Path) -> None:
    made = World(tmp_path, {"RECORD__SPOOL_MAX_BYTES": "4096", "SERVER__METRICS_PORT": "0"})
    try:
        made.start()
        client = made.client()
        made.canary(made.versions[0], 1.0)
        wait_until(lambda: client.arms().canary_refused == "", "the lease")
        made.feedback.kill()
        served = [made.ask(asking(sampling=Sampling(1.0, max_tokens=64)), client)[0].served for _ in range(25)]
        assert served[0].version == made.versions[0].version
        assert (served[-1].version, served[-1].forced) == (made.base.version, True)
        assert made.spooled() <= 4096
        assert metric(made, 'interactions_dropped_total{cause="no_room"}') > 0
        assert metric(made, 'assignments_total{arm="STABLE"}') > 0
        made.feedback.start()
        wait_until(lambda: made.spooled() == 0, "an empty spool")
        assert made.ask(asking(), client)[0].served.version == made.versions[0].version
    finally:
        made.close()


def metric(world: World, name: str) -> float:
    """A metric as Prometheus would read it."""
    port = json.loads((world.folder / "policy.ready").read_text())["metrics_port"]
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    line = next(line for line in text.splitlines() if line.startswith(f"rejoinder_{name}"))
    return float(line.rsplit(" ", 1)[1])
