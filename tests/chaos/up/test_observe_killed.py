"""`rejoinder up --observe` under kill -9 of each of its processes: it goes on by itself, nothing lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.clients import Connection, FeedbackClient
from rejoinder.clients.ledger import LedgerClient
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import AttemptStatus, Feedback, FollowUp, Interaction, Message, Role

from tests.chaos.harness import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

ROOT = Path(__file__).parents[3]
ROUNDS = 4


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    command = [sys.executable, "-m", "rejoinder.cli.main", "up", "--observe", "--free-ports", "--data", str(folder)]
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
    pid = pid_of(data, name)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: pid_of(data, name) not in (0, pid), f"another {name}")


def test_each_process_killed_again_and_again_and_nothing_is_lost_or_doubled(data: Path) -> None:
    """F06, F07, U01, U02: every acknowledged event is stored once and every follow-up is read once."""
    addresses = json.loads((data / "run" / "addresses.json").read_text())
    moments, acknowledged = random.Random(7), set[str]()
    names = ["feedback", "ledger", "signals"] * ROUNDS
    moments.shuffle(names)
    with FeedbackClient(Connection(addresses["feedback"], deadline_s=60.0, tries=60)) as client:
        for number, name in enumerate(names):
            batch = [str(number * 100 + i) for i in range(moments.randint(5, 40))]
            said = [
                Interaction(
                    event_id=f"e{i}",
                    interaction_id=f"i{i}",
                    attempt_id=f"a{i}",
                    user_id=f"u{i}",
                    messages=(Message(Role.USER, "How warm is it?"),),
                    response="68 F",
                    status=AttemptStatus.COMPLETED,
                )
                for i in batch
            ]
            heard = [
                Feedback(event_id=f"f{i}", interaction_id=f"i{i}", user_id=f"u{i}", kind=FollowUp("no, in Celsius"))
                for i in batch
            ]
            assert all(result.recorded for result in client.record_interactions(said))
            kill(data, name)
            assert all(result.recorded for result in client.record_feedback(heard))
            acknowledged.update(batch)
    with LedgerClient(Connection(addresses["ledger"], deadline_s=60.0, tries=60)) as ledger:

        def judged() -> int:
            try:
                (row,) = ledger.satisfaction().rows
            except (RejoinderError, ValueError):
                return -1
            return row.sat + row.dsat + row.none

        wait_until(lambda: judged() == len(acknowledged), "a signal for every follow-up", 90.0)
        parity = ledger.parity()
    stored = {
        topic: sum(row.stored for row in parity.rows if row.topic == topic)
        for topic in ("interactions", "feedback", "signals")
    }
    assert stored == dict.fromkeys(("interactions", "feedback", "signals"), len(acknowledged))
    assert all(
        row.read == row.stored + row.duplicate + row.conflict + row.dead_lettered + row.erased + row.expired
        for row in parity.rows
    )
    print(f"{len(names)} kills, {2 * len(acknowledged)} acknowledged, stored once each")
