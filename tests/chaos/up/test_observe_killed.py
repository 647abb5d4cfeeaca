"""`rejoinder up --observe` under kill -9 of each of its processes: it goes on by itself, nothing lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient
from rejoinder.clients.ledger import LedgerClient

from tests.chaos.harness import Recorder, Traffic, wait_until
from tests.chaos.up.talk import answered, judged, said_once

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    command = [
        sys.executable,
        "-m",
        "rejoinder.cli.main",
        "up",
        "--observe",
        "--no-console",
        "--free-ports",
        "--data",
        str(folder),
    ]
    with (tmp_path / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until((folder / "run" / "addresses.json").exists, "every process", 90.0)
        yield folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def pid_of(data: Path, name: str) -> int:
    try:
        return json.loads((data / "run" / f"{name}.ready").read_text())["pid"]
    except (OSError, ValueError):
        return 0


def kill(data: Path, name: str) -> None:
    """Kills a process as it is now and waits until its successor serves."""
    pid = 0

    def there() -> bool:
        nonlocal pid
        pid = pid_of(data, name)
        # 0 while one is being started: to a kill that is every process of our own group.
        return pid > 0

    wait_until(there, name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid_of(data, name) not in (0, pid), f"another {name}")


def test_each_process_killed_and_nothing_is_lost_or_doubled(data: Path, tmp_path: Path) -> None:
    """F06, F07, U01, U02: what was acknowledged meanwhile is stored once and every follow-up is read once.

    Each alone is killed ten times elsewhere (ingest, ledger, signals); here the supervisor brings them back."""
    addresses = json.loads((data / "run" / "addresses.json").read_text())
    patient = {name: Connection(address, deadline_s=60.0, tries=60) for name, address in addresses.items()}
    moments, numbers = random.Random(7), iter(range(1_000_000))
    names = ["feedback", "ledger", "signals"]
    moments.shuffle(names)
    recorder = Recorder(tmp_path / "acknowledged")
    with FeedbackClient(patient["feedback"]) as client, LedgerClient(patient["ledger"]) as ledger:

        def call(caller: int, stop: threading.Event) -> None:
            ids = [str(next(numbers)) for _ in range(8)]
            answered(client, ids)
            recorder.acknowledged(ids)
            stop.wait(0.05)

        with Traffic(1, call) as traffic:
            for name in names:
                before = recorder.count
                time.sleep(moments.uniform(0.05, 0.6))
                kill(data, name)
                wait_until(lambda before=before: recorder.count > before, "traffic after a restart")
        traffic.check()
        acknowledged = recorder.read()
        wait_until(lambda: judged(ledger) >= len(acknowledged), "a signal for every follow-up", 90.0)
        said_once(ledger, len(acknowledged))
    recorder.close()
    print(f"{len(names)} kills, {2 * len(acknowledged)} acknowledged, stored once each")
