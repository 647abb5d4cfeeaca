"""reconcile/statuses: an object to which nothing happens is left alone, however often it is looked at."""

from __future__ import annotations

import pytest

from tests.operator.world import Process, World

HOURS = 3


def settled(world: World, process: Process, looks: int = 3) -> None:
    for _ in range(looks):
        world.inner.clock.advance(1.0)
        assert process.look() == {}


def writes_in_hours(world: World, process: Process) -> list[str]:
    """What is written while nobody does anything, a look every minute; the lease apart."""
    process.passed.clear()
    for _ in range(HOURS * 12):
        # A leader that was not asked for so long would lead no more.
        for _ in range(50):
            world.inner.clock.advance(6.0)
            assert process.election.try_once(process.writes)
        assert process.look() == {}
    return [name for side, name in process.passed if side == "after" and name != "lease"]


def test_a_loop_that_waits(world: World) -> None:
    world.pending.pieces = 5
    world.begin()
    process = world.process()
    settled(world, process)
    assert world.status("PreferenceLoop", "assist")["phase"] == "Waiting"
    assert writes_in_hours(world, process) == []


@pytest.mark.parametrize("ends", [{}, {"prepare": "BackoffLimitExceeded"}])
def test_a_round_whose_job_goes_on_and_one_that_is_over(world: World, ends: dict[str, str]) -> None:
    world.jobs = ends
    world.begin(training={"backoffLimit": 0}, trigger={"minEvidence": 100, "minInterval": "20h"})
    process = world.process()
    for _ in range(8):
        world.second(0)
        process.look()
    assert bool(world.status("PolicyRound", "assist-r0001").get("outcome")) == bool(ends)
    # Once a pod is late it is said, once.
    assert len(writes_in_hours(world, process)) <= 2


def test_a_rollout_that_waits_for_a_person(world: World) -> None:
    world.begin()
    world.cluster.edit("PolicyRollout", "team", "template", approval="canary")
    process = world.live(
        world.process(),
        lambda: world.cluster.list("PolicyRollout", "").items[0]["metadata"]["name"] == "assist-r0001",
        people=0,
    )
    settled(world, process)
    assert world.status("PolicyRollout", "assist-r0001")["held"] == "approval"
    assert writes_in_hours(world, process) == []


def rollout_phases(world: World) -> set[str]:
    return {item.get("status", {}).get("phase", "") for item in world.cluster.all("PolicyRollout")}


def test_in_a_canary_the_figures_of_each_look_are_not_written(world: World) -> None:
    """They are metrics; status has those of the last decision."""
    world.begin()
    world.cluster.edit("PolicyRollout", "team", "template", steps=[{"weight": 50, "duration": "2s", "deadline": "4h"}])
    world.cluster.edit("PolicyRollout", "team", "template", promoteOn="better")
    process = world.process()
    world.live(process, lambda: "Paused" in rollout_phases(world), people=20)
    for _ in range(10):
        world.second(20)
        process.look()
    process.passed.clear()
    seen = set()
    for _ in range(30):
        world.second(20)
        assert process.look() == {}
        answer = process.board.answer("team", "assist-r0001")
        seen.add(answer["stable"]["n"])
    assert len(seen) > 20, "the figures move"
    assert process.passed.count(("after", "status")) <= 2
