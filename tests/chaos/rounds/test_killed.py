"""kill -9 of a round, its training included, at seeded moments: it goes on and ends once (U13)."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.system.rounds.world import World, world

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

KILLS = 10


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    return world(tmp_path_factory.mktemp("loop"))


def started(made: World, data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "rejoinder.cli.main", *made.round_command(data), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def loop(made: World, number: int) -> Path:
    """A data folder of its own, with everything that a first round needs."""
    data = made.folder / f"killed-{number}"
    made.rejoinder("import", str(made.folder / "trees.jsonl"), "--data", str(data), "--no-signals")
    return data


def ended_once(made: World, data: Path, report: dict[str, Any]) -> None:
    assert (report["number"], report["outcome"]) == (1, "published"), report["reasons"]
    registry = data / "registry"
    assert [p.name for p in (registry / "versions" / "assist").iterdir()] == ["assist-r0001.json"]
    assert [p.name for p in (registry / "rounds" / "assist").iterdir()] == ["000001"]
    nodes = made.rejoinder("trace", "assist#1", "--data", str(data))["nodes"]
    stages = [node["facts"].get("stage") for node in nodes if node["kind"] == "round"]
    assert len(stages) == len(set(stages))


def test_rounds_killed_ten_times_end_once_with_one_version_each(made: World) -> None:
    """A round that ends before its tenth kill is followed by the first of another loop, so that ten there are."""
    moments, kills, rounds = random.Random(20), 0, 1
    data = loop(made, rounds)
    while True:
        process = started(made, data)
        began = time.monotonic()
        # Each try gets a little further than the last, so that every stage is met and the round ends.
        limit = moments.uniform(0.5, 2.5) + 0.6 * kills if kills < KILLS else 600.0
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, (err, time.monotonic() - began)
        ended_once(made, data, json.loads(out))
        if kills == KILLS:
            return
        rounds += 1
        data = loop(made, rounds)
