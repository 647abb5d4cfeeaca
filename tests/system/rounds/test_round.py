"""A whole round on real training: imported comparisons in, a version out that can be traced and is served by digest."""

from __future__ import annotations

import pytest
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.rounds.plan import HOLDOUT_SHARE

from tests.system.rounds.world import World, world

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("loop"))


def test_a_round_learns_publishes_and_can_be_traced(made: World) -> None:
    """U07, F12: version → round → data set → window → every event; the export equals what was trained."""
    data = made.folder / "data"
    made.rejoinder("import", str(made.folder / "trees.jsonl"), "--data", str(data), "--no-signals")
    plan = made.rejoinder("round", "plan", "--data", str(data), "--recipe", str(made.folder / "short.yaml"))
    report = made.rejoinder(*made.round_command(data))
    assert report["outcome"] == "published", report["reasons"]
    gate = {measure["name"]: measure for measure in report["stages"]["gate"]["measures"]}
    summed = gate["pair_accuracy"]["facts"]["summed"]["all"]
    assert summed["gain"]["low"] > 0.5
    assert gate["parity"]["outcome"] == "pass"
    assert report["stages"]["pairs"]["pairs"] == plan["sides"]["pairs"]

    nodes = made.rejoinder("trace", "assist-r0001", "--data", str(data))["nodes"]
    kinds = {node["kind"] for node in nodes}
    assert {"version", "round"} <= kinds
    manifest = made.folder / "data" / "registry" / "versions" / "assist" / "assist-r0001.json"
    assert report["stages"]["pairs"]["digest"] in manifest.read_text()


def test_an_erased_user_is_in_no_later_window_and_in_no_pair(made: World) -> None:
    """F16, U11: the report lists the round that had used them."""
    data = made.folder / "erased"
    made.rejoinder("import", str(made.folder / "trees.jsonl"), "--data", str(data), "--no-signals")
    before = made.rejoinder("round", "plan", "--data", str(data))["evidence"]["evidence"]
    tickets = [made.rejoinder("erase", f"person-{i}", "--data", str(data))["ticket"] for i in range(3)]
    plan = made.rejoinder("round", "plan", "--data", str(data))["evidence"]
    assert plan["evidence"] == before - 3 + sum(_held_out(i) for i in range(3))
    for side in ("pairs", "gate", "evaluation"):
        made.rejoinder("export", "--data", str(data), "--out", str(made.folder / "after.jsonl"), "--side", side)
        written = (made.folder / "after.jsonl").read_text()
        assert not any(f'will you help {i}"' in written for i in range(3))
    assert all(made.rejoinder("trace", ticket, "--data", str(data))["nodes"] for ticket in tickets)
    assert made.rejoinder("replay", "--data", str(data))["equal"]


def _held_out(number: int) -> bool:
    """Whether this person is of the holdout, and so was in no window to begin with."""
    return population(unit_id("default", f"person-{number}", ""), Salts(), HOLDOUT_SHARE) == "holdout"
