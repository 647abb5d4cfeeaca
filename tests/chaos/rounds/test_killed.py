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


def test_a_round_killed_ten_times_ends_once_with_one_version(made: World) -> None:
    data = made.folder / "killed"
    made.rejoinder("import", str(made.folder / "trees.jsonl"), "--data", str(data), "--no-signals")
    moments, kills = random.Random(20), 0
    while True:
        process = started(made, data)
        began = time.monotonic()
        # Each try gets a little further than the last, so that every stage is met and the round ends.
        limit = moments.uniform(0.5, 2.5) + 0.8 * kills if kills < KILLS else 600.0
        try:
            out, err = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
            continue
        assert process.returncode == 0, (err, time.monotonic() - began)
        break
    report = json.loads(out)
    assert kills >= 5
    assert (report["number"], report["outcome"]) == (1, "published"), report["reasons"]
    registry = data / "registry"
    assert [p.name for p in (registry / "versions" / "assist").iterdir()] == ["assist-r0001.json"]
    assert [p.name for p in (registry / "rounds" / "assist").iterdir()] == ["000001"]
    nodes = made.rejoinder("trace", "assist#1", "--data", str(data))["nodes"]
    stages = [node["facts"].get("stage") for node in nodes if node["kind"] == "round"]
    assert len(stages) == len(set(stages))
