"""stream/members: positions handed from one member to the next, with steps under way."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rejoinder.core.clock import Clock, SystemClock
from rejoinder.stream.consumer import StopFlag, Worker, WorkerSettings
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.groups import Commit, Coordinator
from rejoinder.stream.members import Waker
from rejoinder.stream.port import NewRecord, Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

#: Of waits that end with what they wait for; also how long a member may be silent.
WAIT_S = 60.0


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    opened = SqliteLog(str(tmp_path / "log.db"), LogSettings(), SystemClock())
    yield opened
    opened.close()


def fill(log: SqliteLog, count: int) -> list[bytes]:
    values = [b"%d" % i for i in range(count)]
    log.append([NewRecord("feedback", value, value) for value in values]).result()
    return values


def every(log: SqliteLog, topic: str) -> list[bytes]:
    return [r.value for p in range(log.partitions(topic)) for r in log.read(topic, p, 0, 10_000)]


class Holding(Coordinator):
    """Lets a commit through and then keeps it inside its transaction until it is let go. owns: two events."""

    def __init__(self, log: SqliteLog, clock: Clock) -> None:
        super().__init__(log.partitions, clock, WAIT_S)
        self.passed = threading.Event()
        self.let_go = threading.Event()

    def check(self, commit: Commit) -> None:
        super().check(commit)
        self.passed.set()
        assert self.let_go.wait(WAIT_S)


def test_a_successor_begins_after_the_step_that_was_let_through_before_it_came(log: SqliteLog) -> None:
    """The step was checked but is not committed yet: reading the file now would give positions from before it."""
    values = fill(log, 12)
    coordinator = log.coordinator = Holding(log, SystemClock())
    first = log.subscribe("g", ["feedback"], "m1")
    records = first.poll(0.0)
    transaction = log.transaction("slot-0")
    out = [NewRecord("signals", r.key, r.value) for r in records]
    stepping = threading.Thread(target=transaction.step, args=(out, first))
    stepping.start()
    assert coordinator.passed.wait(WAIT_S)
    successor = log.subscribe("g", ["feedback"], "m1")
    got: list[Record] = []
    polling = threading.Thread(target=lambda: got.extend(successor.poll(0.0)))
    polling.start()
    coordinator.let_go.set()
    stepping.join(WAIT_S)
    polling.join(WAIT_S)
    assert got == []
    assert sorted(every(log, "signals")) == sorted(values)


class Echo:
    """A step: one signal per record."""

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        return [NewRecord("signals", r.key, r.value) for r in records]

    def close(self) -> None: ...


def test_workers_that_come_and_go_signal_every_record_once(log: SqliteLog) -> None:
    """F07: six workers over three slots, stopped and started at seeded moments while records arrive."""
    rng = random.Random(7)
    wake = Waker()

    def run(slot: int, stop: StopFlag) -> None:
        settings = WorkerSettings("g", ("feedback",), f"m{slot}", f"slot-{slot}", poll_s=0.01, max_records=5)
        dead = DeadLetters(b"key", SystemClock(), "/s")
        Worker(log, Echo(), dead, settings, SystemClock(), stop, lambda s: wake.wait(0, 0.001)).run()

    running: list[tuple[threading.Thread, StopFlag]] = []
    sent: list[bytes] = []
    for turn in range(60):
        sent += (values := [b"%d/%d" % (turn, i) for i in range(4)])
        log.append([NewRecord("feedback", value, value) for value in values]).result()
        if len(running) < 3:
            stop = StopFlag()
            slot = min(set(range(3)) - {int(thread.name) for thread, _ in running})
            thread = threading.Thread(target=run, args=(slot, stop), name=str(slot))
            thread.start()
            running.append((thread, stop))
        elif rng.random() < 0.4:
            thread, stop = running.pop(rng.randrange(3))
            stop.ask()
            thread.join(WAIT_S)
    for thread, stop in running:
        stop.ask()
        thread.join(WAIT_S)
    rest = log.subscribe("g", ["feedback"], "last")
    while records := rest.poll(0.0):
        log.transaction("slot-0").step(Echo()(records), rest)
    assert Counter(every(log, "signals")) == Counter(sent)
