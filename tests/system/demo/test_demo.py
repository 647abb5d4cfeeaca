"""`rejoinder demo`, the short form through the real command line: what must hold exactly, whatever was learnt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rejoinder.simulate import phrases
from rejoinder.simulate.recorder import read

from tests.chaos.harness import wait_until
from tests.system.commands import rejoinder

MODELS = Path(__file__).parents[3] / "build" / "models"
pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

NAMES = {"window": "assist#1", "dataset": "assist#1/pairs"}
ESTIMATE = {"value", "low", "high"}
ROUND = {"round", "version", "first_answer", "after_wish", "facts", "paired_gain", "pairs", "promoted", "outcome"}
RESULT = {"seed", "control", "seconds", "peak_mb", "rounds", "ceilings", "pushes", "parity", "commit", "machine"}


@dataclass(frozen=True)
class Run:
    """serving: how many processes were seen at once that name the run's folder."""

    folder: Path
    data: Path
    result: dict[str, Any]
    page: str
    serving: int


def naming(folder: Path) -> list[int]:
    """Processes whose command line names this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


#: So few people that their wishes may be too few for a round, and enough of them for a version and its rollout.
@pytest.fixture(scope="module", params=["0.1", pytest.param("0.3", marks=pytest.mark.proof)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    command = [sys.executable, "-m", "rejoinder.cli.main"]
    environment = os.environ | {"REJOINDER_MODELS": str(MODELS)}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("REJOINDER_MODELS", str(MODELS))
        rejoinder("models", "build")
    folder = tmp_path_factory.mktemp("demo")
    data, figures, page = folder / "data", folder / "figures.json", folder / "page.html"
    wanted = ["demo", "--seed", "3", "--scale", request.param, "--rounds", "1"]
    paths = ["--data", str(data), "--json", str(figures), "--report", str(page)]
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen([*command, *wanted, *paths], stdout=said, stderr=said, env=environment)
    try:
        wait_until(
            lambda: (data / "run" / "addresses.json").exists() or process.poll() is not None, "every process", 120
        )
        serving = len(naming(data))
        assert process.wait(500) == 0, (folder / "said.txt").read_text()[-3000:]
    finally:
        if process.poll() is None:
            for pid in [process.pid, *naming(data)]:
                os.kill(pid, signal.SIGKILL)
            process.wait()
    return Run(folder, data, json.loads(figures.read_text()), page.read_text(), serving)


def test_nothing_acknowledged_is_lost_or_twice_there(made: Run) -> None:
    """U01, F06: every acknowledged id is stored exactly once, and what is stored was sent."""
    parity = made.result["parity"]
    acknowledged, sent = read(made.data / "acknowledged.txt")
    assert (parity["lost"], parity["duplicated"]) == (0, 0)
    assert parity["acknowledged"] == len(acknowledged) > 300
    assert parity["stored"] == parity["acknowledged"] + parity["unacked_stored"]
    assert parity["unacked_stored"] <= len(sent - acknowledged)


def test_whoever_reads_the_figures_finds_what_they_are_promised(made: Run) -> None:
    result = made.result
    assert set(result) >= RESULT
    assert (result["seed"], result["control"]) == (3, "")
    assert result["seconds"] > 0
    assert result["peak_mb"] > 200, "several processes with models in them"
    assert set(result["ceilings"]) >= {"constant", "by_kind", "per_user"}
    assert result["ceilings"]["constant"] < result["ceilings"]["by_kind"] < result["ceilings"]["per_user"] < 0.951
    assert [row["round"] for row in result["rounds"]] == [0, 1]
    for row in result["rounds"]:
        assert set(row) >= ROUND
        for name in ("first_answer", "after_wish"):
            assert set(row[name]) == ESTIMATE
            assert 0 <= row[name]["low"] <= row[name]["value"] <= row[name]["high"] <= 1
        assert 0 <= row["facts"] <= 1
    untrained, learnt = result["rounds"]
    assert (untrained["version"], untrained["promoted"], untrained["paired_gain"]) == ("assist-base", True, None)
    gain = learnt["paired_gain"]
    assert set(gain) == ESTIMATE
    difference = learnt["first_answer"]["value"] - untrained["first_answer"]["value"]
    assert gain["value"] == pytest.approx(difference), "the same people answered both"
    assert learnt["pairs"] >= 0
    assert learnt["outcome"] in ("published", "refused")
    assert learnt["promoted"] <= (learnt["outcome"] == "published"), "nobody promotes past the gate"


def test_no_holdout_user_meets_a_pushed_version(made: Run) -> None:
    """In the shortest form nothing is learnt, so that nothing is pushed and nobody is exposed: zeros, and no gaps."""
    pushes = made.result["pushes"]
    assert [push["kind"] for push in pushes] == ["style", "silent", "harmless"]
    for push in pushes:
        assert {"verdict", "action", "reasons"} <= set(push)
        assert push["holdout_exposed"] == 0
        assert (push["exposed_users"] > 0) == (push["judged"] > 0) == made.result["rounds"][1]["promoted"]
        assert (push["action"] == "held" and push["verdict"] == "unmeasured") == (push["judged"] == 0)


def test_an_answer_is_traced_to_what_it_came_from(made: Run) -> None:
    """U07: tests/cli/demo/test_course.py follows it through a promoted round, which the shortest form has none of."""
    trace = made.result["trace"]
    assert trace["id"] in read(made.data / "acknowledged.txt")[0]
    answer = next(node for node in trace["nodes"] if node["facts"].get("interaction") == trace["id"])
    assert answer["kind"] == "interaction"
    (version,) = [node for node in trace["nodes"] if node["kind"] == "version" and node["id"] in answer["sources"]]
    (row,) = [row for row in made.result["rounds"] if row["promoted"]][-1:]
    assert version["id"] == row["version"]
    manifest = json.loads((made.data / "registry" / "versions" / "assist" / f"{row['version']}.json").read_text())
    assert version["digest"] == manifest["digest"] != ""
    if row["round"]:
        found = {(node["kind"], node["id"]): node for node in trace["nodes"]}
        assert version["facts"]["dataset_digest"] == manifest["dataset_digest"] != ""
        assert found["round", "assist#1/pairs"]["digest"] == manifest["dataset_digest"]
        assert found["window", "assist#1"]["digest"] == manifest["facts"]["window"]
        acknowledged = read(made.data / "acknowledged.txt")[0]
        events = {event for kind in ("window", "dataset") for event in found[kind, NAMES[kind]]["sources"]}
        assert len(events & acknowledged) > 20, "what people said"


def test_the_page_is_well_formed_and_names_the_version(made: Run) -> None:
    ElementTree.fromstring(made.page)
    assert made.result["rounds"][1]["version"] in made.page
    assert "assist-base" in made.page
    kept = json.loads((made.data / "result.json").read_text())
    assert kept == made.result


def test_nobodys_words_stand_in_a_log(made: Run) -> None:
    """U11: where erasure could not reach them; the same search finds them in the log of events, where they belong."""
    said = phrases.load()
    bank = [part.strip() for text in said.all() for part in text.split("{topic}") if len(part.strip()) >= 14]
    logs = sorted((made.data / "run").glob("*.log"))
    assert len(logs) >= 6
    for path in logs:
        text = path.read_text(errors="replace")
        assert not [phrase for phrase in bank if phrase in text], path.name
    events = (made.data / "log.db").read_bytes()
    assert sum(phrase.encode() in events for phrase in bank) > 50


def test_no_process_is_left_behind(made: Run) -> None:
    assert made.serving >= 8, "the same search finds them while they serve"
    assert naming(made.data) == []
    assert not (made.data / "run" / "addresses.json").exists()
