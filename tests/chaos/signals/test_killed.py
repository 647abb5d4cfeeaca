"""kill -9 of the signal worker under traffic: every follow-up is read once, whatever it died in (F07, U02)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from rejoinder.cli.supervisor import free_ports
from rejoinder.cli.up import OBSERVE, plans
from rejoinder.clients import Connection, FeedbackClient
from rejoinder.clients.ledger import LedgerClient

from tests.chaos.harness import Killer, Process, Recorder, Traffic, wait_until
from tests.chaos.up.talk import answered, judged, said_once

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(280)]

BATCH = 2


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[dict[str, Process]]:
    """Feedback, ledger and signals as `rejoinder up --observe` sets them, each of its own and tended by nobody."""
    ports = dict(zip(OBSERVE, free_ports(len(OBSERVE)), strict=True))
    with ExitStack() as stack:
        made = {}
        for plan in plans(tmp_path / "data", "", OBSERVE, ports):
            file = tmp_path / f"{plan.name}.yaml"
            file.write_text(yaml.safe_dump(dict(plan.settings)))
            command = [sys.executable, "-m", plan.module, "--settings", str(file)]
            made[plan.name] = process = Process(command, tmp_path, plan.name, {})
            process.port = ports[plan.name]
            stack.callback(process.close)
            process.start()
        yield made


def test_ten_kills_leave_no_follow_up_unread_and_none_read_twice(processes: dict[str, Process], tmp_path: Path) -> None:
    at = {name: Connection(f"127.0.0.1:{process.port}", deadline_s=60.0) for name, process in processes.items()}
    recorder = Recorder(tmp_path / "acknowledged")
    with FeedbackClient(at["feedback"]) as client, LedgerClient(at["ledger"]) as ledger:
        names = iter(range(1_000_000))

        def call(caller: int, stop: threading.Event) -> None:
            ids = [str(next(names)) for _ in range(BATCH)]
            answered(client, ids)
            recorder.acknowledged(ids)
            stop.wait(0.1)

        with Traffic(1, call) as traffic:
            wait_until(lambda: judged(ledger) > 0, "the first signal")
            killer = Killer(processes["signals"], lambda: judged(ledger), traffic, seed=3)
            kills = len(list(killer.run(10)))
        traffic.check()
        acknowledged = recorder.read()
        wait_until(lambda: judged(ledger) >= len(acknowledged), "a signal for every follow-up", 90.0)
        print(f"{kills} kills, {len(acknowledged)} follow-ups, each read once")
        assert kills == 10
        said_once(ledger, len(acknowledged))
    recorder.close()
