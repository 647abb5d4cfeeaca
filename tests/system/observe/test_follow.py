"""`rejoinder observe --follow` as a process: killed at seeded moments while files are written and rotated."""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rejoinder.cli.main import main

from tests.chaos.harness import Killer, Process, Traffic, wait_until
from tests.system.observe.world import Ingest

pytestmark = pytest.mark.system

WORDS = "walrus-in-the-fjord"


def follower_of(folder: Path, ingest: Ingest, *options: str, **environment: str) -> Process:
    command = [sys.executable, "-m", "rejoinder.cli.main", "observe", "--data", str(folder / "data")]
    given = {"READ__POLL_S": "0.05", "FILES__LOOK_S": "0.1", "READ__BATCH": "20", "SERVER__PORT": "0", **environment}
    return Process([*command, "--address", ingest.address, *options], folder, "observe", given)


class Application:
    """Writes turns, some in two halves, and rotates its file in both ways. owns: the file, and how many it wrote."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self.written = 0
        self.rotated = Counter[str]()

    def say(self, caller: int, stop: threading.Event) -> None:
        for _ in range(self._rng.randint(1, 8)):
            self._write(turn(self.written))
            self.written += 1
        match self._rng.randrange(6):
            case 0:
                self.rotated["renamed"] += 1
                self._path.rename(self._path.with_name(f"app.jsonl.{self.written}"))
            case 1:
                self.rotated["copied"] += 1
                self._path.with_name(f"app.jsonl.{self.written}").write_bytes(self._path.read_bytes())
                os.truncate(self._path, 0)
        stop.wait(0.1)

    def _write(self, data: bytes) -> None:
        cut = self._rng.choice([len(data), self._rng.randrange(len(data))])
        for part in (data[:cut], data[cut:]):
            with self._path.open("ab") as file:
                file.write(part)


def turn(number: int) -> bytes:
    """Every third has no id of its own."""
    said: dict[str, Any] = {"messages": [{"role": "user", "content": WORDS}], "answer": f"a{number}"}
    if number % 3:
        said["id"] = f"r{number}"
    return json.dumps(said).encode() + b"\n"


def test_killed_while_files_are_written_and_rotated_each_line_counts_once(tmp_path: Path) -> None:
    """F06, F07."""
    ingest = Ingest(tmp_path)
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "map.yaml").write_text("preset: openai\n")
    process = follower_of(tmp_path, ingest, "--follow", str(logs / "app.jsonl"), "--map", str(tmp_path / "map.yaml"))
    application = Application(logs / "app.jsonl", seed=5)
    try:
        process.start()
        with Traffic(1, application.say) as traffic:
            for _ in Killer(process, lambda: ingest.appended("interactions"), traffic, seed=9).run(2):
                pass
            traffic.check()
        wait_until(lambda: ingest.appended("interactions") >= application.written, "every line")
        # What would come twice has come once the positions stand at the files' ends.
        wait_until(lambda: stands(tmp_path, logs) == (0, application.written), "the positions")
        assert process.terminate() == 0
        answers = Counter(event.response for event in ingest.events("interactions", "default"))
        assert answers == Counter(f"a{number}" for number in range(application.written))
        assert ingest.appended("deadletters") == 0
        assert application.rotated.total() > 0
        assert WORDS not in process.log_path.read_text()
        assert WORDS not in (tmp_path / "data" / "observe" / "positions.json").read_text()
    finally:
        process.close()
        ingest.process.close()


def stands(folder: Path, logs: Path) -> tuple[int, int]:
    """Bytes of the files that are there and not behind a position, and lines that are."""
    known = {}
    for one in json.loads((folder / "data" / "observe" / "positions.json").read_text())["streams"]:
        known[one["inode"]] = max(one["offset"], known.get(one["inode"], 0)) if not one["passed"] else 0
    files = [path for path in logs.iterdir() if path.stat().st_size]
    left = sum(max(0, path.stat().st_size - known.get(path.stat().st_ino, 0)) for path in files)
    return left, sum(path.read_bytes().count(b"\n") for path in files)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "say what is read"),
        (("--map", "x.yaml", "--http", "0"), "say what the lines of --follow are"),
        (("--follow", "x", "--format", "nothing"), "format must be one of"),
        (("--follow", "x", "--check"), "--check looks at the topics"),
    ],
)
def test_options_that_cannot_be_meant_are_one_line(
    options: tuple[str, ...], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["observe", "--data", str(tmp_path), *options])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in said
    assert "Traceback" not in said
