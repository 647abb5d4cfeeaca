"""kill -9 of a round, its training included, at seeded moments: it goes on and ends once (U13)."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import wait_until
from tests.system.rounds.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[3]
#: After how many outputs of stages each kill falls, at the soonest: window, pairs, reviews, train, export, and the gate
#: that is being measured then.
KILLS = (0, 1, 2, 3, 3, 3, 4, 4, 5, 5)
#: Seconds between a stage's output and the kill: a stage takes that long, or a few times as long.
LATEST_S = 0.5


class Nursery:
    """Commands of `rejoinder` in forked processes. owns: the process that forks them, and what they print."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.rounds.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "\n"

    def begin(self, words: Sequence[str]) -> int | None:
        """Begins a command; its process, None where it has ended by now."""
        assert self._process.stdin is not None
        asked = {"arguments": list(words), "out": str(self._folder / "out"), "err": str(self._folder / "err")}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        found: list[str] = []

        def begun() -> bool:
            found[:] = children.read_text().split()
            return bool(found) or self.has_ended()

        wait_until(begun, "the command's process")
        return int(found[0]) if found else None

    def has_ended(self) -> bool:
        return bool(select.select([self._process.stdout], [], [], 0.0)[0])

    def ended(self) -> tuple[int, str, str]:
        """Exit status of what was begun, what it printed and what it said of errors."""
        assert self._process.stdout is not None
        status = json.loads(self._process.stdout.readline())["status"]
        return status, (self._folder / "out").read_text(), (self._folder / "err").read_text()

    def rejoinder(self, *words: str) -> Any:
        """What a command with --json printed."""
        self.begin([*words, "--json"])
        status, out, err = self.ended()
        assert status == 0, err
        return json.loads(out)

    def close(self) -> None:
        """Ends what is under way, too."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    made = Nursery(tmp_path_factory.mktemp("nursery"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def made(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("loop")
    nursery.begin(["world", str(folder)])
    status, _, err = nursery.ended()
    assert status == 0, err
    return World(folder, folder / "base", folder / "export")


class Loop:
    """A data folder of its own, with everything that a first round needs."""

    def __init__(self, nursery: Nursery, made: World, number: int) -> None:
        self._nursery = nursery
        self.data = made.folder / f"killed-{number}"
        self.command = made.round_command(self.data)
        nursery.rejoinder("import", str(made.folder / "trees.jsonl"), "--data", str(self.data), "--no-signals")

    def outputs(self) -> int:
        """Of stages that were made whole."""
        return len(list((self.data / "registry" / "stages").glob("*.json")))

    def killed(self, after: int, wait_s: float) -> bool:
        """Runs the round and kills it some time after so many outputs; whether it was under way then."""
        pid = self._nursery.begin([*self.command, "--json"])
        wait_until(lambda: self.outputs() >= after or self._nursery.has_ended(), "a stage", 600.0)
        if pid is not None and not self._nursery.has_ended():
            time.sleep(wait_s)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        status, out, err = self._nursery.ended()
        if status != -signal.SIGKILL:
            assert status == 0, err
            self.ended_once(json.loads(out))
        return status == -signal.SIGKILL

    def ended_once(self, report: dict[str, Any]) -> None:
        assert (report["number"], report["outcome"]) == (1, "published"), report["reasons"]
        registry = self.data / "registry"
        assert [p.name for p in (registry / "versions" / "assist").iterdir()] == ["assist-r0001.json"]
        assert [p.name for p in (registry / "rounds" / "assist").iterdir()] == ["000001"]
        nodes = self._nursery.rejoinder("trace", "assist#1", "--data", str(self.data))["nodes"]
        stages = [node["facts"].get("stage") for node in nodes if node["kind"] == "round"]
        assert len(stages) == len(set(stages))


def test_rounds_killed_ten_times_end_once_with_one_version_each(nursery: Nursery, made: World) -> None:
    """A round that ends before its next kill is followed by the first of another loop, so that ten there are. The last
    run of all is a process of its own, as people start it."""
    moments, kills, loops = random.Random(20), 0, 1
    loop = Loop(nursery, made, loops)
    while kills < len(KILLS):
        if loop.killed(KILLS[kills], moments.uniform(0.0, LATEST_S)):
            kills += 1
        else:
            loops += 1
            loop = Loop(nursery, made, loops)
    last = subprocess.run(
        [sys.executable, "-m", "rejoinder.cli.main", *loop.command, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert last.returncode == 0, last.stderr
    loop.ended_once(json.loads(last.stdout))
    print(f"{kills} kills, rounds of {loops} loops, each ended once")
