"""reconcile/loops: one round for each time that a person asks, whoever dies meanwhile."""

from __future__ import annotations

import pytest
from rejoinder.registry.claims import claims

from tests.operator.world import Killed, World


@pytest.mark.parametrize(
    "killed_at", [None, *((side, name) for side in ("before", "after") for name in ("claim", "status"))]
)
def test_a_retrigger_begins_one_round(world: World, killed_at: tuple[str, str] | None) -> None:
    world.begin(trigger={"schedule": "0 3 1 1 *"}, rollout=None)
    world.cluster.annotate("PreferenceLoop", "team", "assist", retrigger="1")
    process = world.process(killed_at)
    for _ in range(25):
        world.second(0)
        try:
            process.look()
        except Killed:
            process = world.process()
    assert [(claim.number, claim.outcome) for claim in claims(world.inner.store, "assist")] == [(1, "published")]
    world.cluster.annotate("PreferenceLoop", "team", "assist", retrigger="2")
    world.live(process, lambda: len(claims(world.inner.store, "assist")) == 2, seconds=5, people=0)


def test_two_loops_of_one_policy_take_turns(world: World) -> None:
    world.begin(rollout=None)
    world.make("PreferenceLoop", "other", world.cluster.get("PreferenceLoop", "team", "assist")["spec"])
    world.jobs = {}
    process = world.process()
    for _ in range(4):
        world.second(0)
        process.look()
    assert len(claims(world.inner.store, "assist")) == 1
    phases = {name: world.status("PreferenceLoop", name) for name in ("assist", "other")}
    waiting = [s for s in phases.values() if s["phase"] == "Waiting"]
    assert [c["reason"] for s in waiting for c in s["conditions"] if c["type"] == "Ready"] == ["PolicyBusy"]


def test_a_loop_that_is_gone_leaves_its_number_to_the_next(world: World) -> None:
    world.begin(rollout=None)
    world.jobs = {}
    process = world.process()
    for _ in range(3):
        world.second(0)
        process.look()
    loop = world.cluster.get("PreferenceLoop", "team", "assist")
    world.cluster.delete("PreferenceLoop", "team", "assist", loop["metadata"]["uid"])
    assert world.cluster.all("Job") == world.cluster.all("PolicyRound") == []
    world.make("PreferenceLoop", "assist", loop["spec"])
    for _ in range(3):
        world.second(0)
        process.look()
    found = claims(world.inner.store, "assist")
    assert [(claim.number, claim.outcome) for claim in found] == [(1, "abandoned"), (2, "")]


def test_a_charter_with_a_pattern_that_could_hang_begins_no_round_and_says_why(world: World) -> None:
    norm = {"id": "no-code", "text": "No codes.", "owner": "security", "forbid": r"\pL"}
    held = {"charter": {"version": "1", "norms": [norm]}, "gates": [{"name": "norms"}]}
    world.begin(rollout=None, **held)
    world.cluster.annotate("PreferenceLoop", "team", "assist", retrigger="1")
    process = world.process()
    for _ in range(3):
        world.second(0)
        process.look()
    assert claims(world.inner.store, "assist") == []
    (said,) = (c["message"] for c in world.status("PreferenceLoop", "assist")["conditions"] if c["type"] == "Ready")
    assert "charter.norms[0] (no-code): forbid: a backslash stands before" in said
