"""A whole round on real training: imported comparisons in, a version out that can be traced and is served by digest."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path

import pytest
from rejoinder.cli.datafolder import DataFolder
from rejoinder.core.arms import Salts, population, unit_id
from rejoinder.core.types import AttemptStatus, Interaction, Message, RecordOutcome, Role, Served
from rejoinder.ledger.reading import trace
from rejoinder.registry import datasets
from rejoinder.rounds.plan import HOLDOUT_SHARE
from rejoinder.rounds.runner import STAGES

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

    served = Interaction(
        "default",
        "e-served",
        "i-served",
        "a-served",
        conversation_id="c-served",
        messages=(Message(Role.USER, "will you help"),),
        response="gladly",
        status=AttemptStatus.COMPLETED,
        served=Served("assist", "assist-r0001"),
        occurred_at=time.time(),
    )
    with DataFolder(data) as folder:
        assert [item.outcome for item in folder.record("interactions", [served])] == [RecordOutcome.RECORDED]

    nodes = made.rejoinder("trace", "i-served", "--data", str(data))["nodes"]
    found = {(node["kind"], node["id"]): node for node in nodes}
    manifest = json.loads((data / "registry" / "versions" / "assist" / "assist-r0001.json").read_text())
    pairs = report["stages"]["pairs"]
    version = found["version", "assist-r0001"]
    assert version["digest"] == manifest["digest"] == report["stages"]["export"]["digest"]
    assert version["facts"]["round"] == "assist#1"
    assert version["facts"]["dataset_digest"] == manifest["dataset_digest"] == pairs["digest"]
    assert version["facts"]["window"] == pairs["window"]["digest"] == found["window", "assist#1"]["digest"]
    assert {f"assist#1/{stage}" for stage in STAGES} < {name for kind, name in found if kind == "round"}

    said = events_of(data)
    window = found["window", "assist#1"]
    assert len(window["sources"]) == plan["evidence"]["evidence"] < trace.MOST
    assert set(window["sources"]) <= said
    dataset = found["dataset", "assist#1/pairs"]
    assert dataset["digest"] == pairs["sets"]["pairs"]["digest"]
    (folder_of_set,) = (data / "rounds" / "assist" / "000001").glob("pairs-*")
    used = {event for pair in datasets.read(folder_of_set) for event in pair.provenance.event_ids}
    assert len(used) == int(dataset["facts"]["events"]) == len(dataset["sources"]) + int(dataset["facts"]["unlisted"])
    assert set(dataset["sources"]) < used
    assert {event for event in used if event in said} <= set(window["sources"])


def events_of(data: Path) -> set[str]:
    """Everything that people did, as the ledger's own file has it."""
    with sqlite3.connect(f"file:{data / 'ledger.db'}?mode=ro", uri=True) as ledger:
        return {event for (event,) in ledger.execute("select event_id from feedback")}


@pytest.mark.proof
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
