"""kill -9 of the process that owns the SQLite log, at seeded moments: what was acknowledged is there, once.

The recorder stands outside: it reads what the owner says it acknowledged, and fsyncs that before anything else
happens. A kill leaves the page cache whole, so this is about the log's own order of things (acknowledge after COMMIT,
positions with records); that a COMMIT is an fsync is held by test_sqlite.py, and a power cut by neither.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.stream.port import Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

ROUNDS = 12
SEED = 20_240_607

#: Of a round, before its moment comes: so many acknowledged, and so many read and answered by the worker's steps.
WORK, STEPPED = 10, 5

#: argv: path, round, "early" or "honest"; stdin: ids to send again. Says "s <id>" before and "a <id>" after an append,
#: and "w <n>" after a step of n records.
OWNER = """
import os, sys, threading
from rejoinder.core.clock import SystemClock
from rejoinder.stream.port import Identity, NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

path, round_, mode = sys.argv[1:]
log = SqliteLog(path, LogSettings(), SystemClock())

def say(what, event_id):
    os.write(1, f"{what} {event_id}\\n".encode())

def append(event_id):
    say("s", event_id)
    record = NewRecord("feedback", event_id.encode(), event_id.encode(), (), Identity("t", event_id, "d"))
    future = log.append([record])
    if mode == "early":
        say("a", event_id)
        future.add_done_callback(lambda f: f.exception())
        return
    outcome = future.result()[0].outcome
    assert outcome in ("recorded", "duplicate"), outcome
    say("a", event_id)

def appender(name):
    n = 0
    while True:
        append(f"{round_}-{name}-{n}")
        n += 1

def worker():
    transaction = log.transaction("signals/0")
    consumer = log.subscribe("signals", ["feedback"], "m1")
    while True:
        records = consumer.poll(1.0, 50)
        transaction.step([NewRecord("signals", r.key, r.value) for r in records], consumer)
        say("w", len(records))

for line in sys.stdin:
    append(line.strip())
os.write(1, b"up\\n")
threads = [threading.Thread(target=appender, args=(i,)) for i in range(4)] + [threading.Thread(target=worker)]
for thread in threads:
    thread.start()
"""


@dataclass
class Recorder:
    """What the owners said. owns: the file of acknowledged ids."""

    path: Path
    sent: set[str] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    stepped: int = 0

    def take(self, lines: list[str]) -> None:
        acknowledged = []
        for line in lines:
            what, _, event_id = line.partition(" ")
            if what == "s":
                self.sent.add(event_id)
            elif what == "a":
                acknowledged.append(event_id)
            elif what == "w":
                self.stepped += int(event_id)
        with self.path.open("a") as file:
            file.writelines(f"{event_id}\n" for event_id in acknowledged)
            file.flush()
            os.fsync(file.fileno())
        self.acknowledged += acknowledged

    def unanswered(self) -> set[str]:
        return self.sent - set(self.acknowledged)


def run_and_kill(path: str, round_: int, mode: str, after_s: float, recorder: Recorder) -> None:
    """One owner: told what to send again, left alone for `after_s` seconds beyond its first work, killed; its words
    recorded. What was done shows by its words and not by the time, in which a busy machine does little."""
    command = [sys.executable, "-c", OWNER, path, str(round_), mode]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert owner.stdin is not None
    assert owner.stdout is not None
    owner.stdin.write("".join(f"{event_id}\n" for event_id in sorted(recorder.unanswered())).encode())
    owner.stdin.close()
    rest, deadline, up = b"", None, False
    acknowledged = len(recorder.acknowledged) + WORK
    # Who does not wait for its commits leaves the worker no room.
    stepped = recorder.stepped + (STEPPED if mode == "honest" else 0)
    while True:
        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not select.select([owner.stdout], [], [], wait)[0]:
            break
        data = os.read(owner.stdout.fileno(), 1 << 16)
        assert data, "the owner ended by itself"
        *lines, rest = (rest + data).split(b"\n")
        recorder.take([line.decode() for line in lines])
        up = up or b"up" in lines
        if deadline is None and up and len(recorder.acknowledged) >= acknowledged and recorder.stepped >= stepped:
            deadline = time.monotonic() + after_s
        if deadline is not None and time.monotonic() >= deadline:
            break
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    tail = rest + owner.stdout.read()
    recorder.take([line.decode() for line in tail.split(b"\n")[:-1]])
    owner.stdout.close()


def every(log: SqliteLog, topic: str) -> list[Record]:
    out: list[Record] = []
    for partition, end in log.end_offsets(topic).items():
        at = 0
        while at < end and (records := log.read(topic, partition, at, 10_000)):
            out += records
            at = records[-1].offset + 1
    return out


@pytest.mark.chaos
def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    """F06, F07, U01, U02."""
    rng = random.Random(SEED)
    path = str(tmp_path / "log.db")
    recorder = Recorder(tmp_path / "acknowledged")
    for round_ in range(ROUNDS):
        before = len(recorder.acknowledged)
        run_and_kill(path, round_, "honest", rng.uniform(0.0, 0.25), recorder)
        log = SqliteLog(path, LogSettings(), SystemClock())
        stored = Counter(record.value.decode() for record in every(log, "feedback"))
        signals = Counter(record.value.decode() for record in every(log, "signals"))
        committed = log.committed("signals", [("feedback", p) for p in range(4)])
        read = {r.value.decode() for r in every(log, "feedback") if r.offset < committed["feedback", r.partition]}
        log.close()
        assert len(recorder.acknowledged) >= before
        assert set(recorder.acknowledged) <= set(stored), "acknowledged and lost"
        assert set(stored) <= recorder.sent
        assert max(stored.values(), default=1) == 1, "stored twice"
        assert signals == Counter(read), "a step was torn: its records and its positions differ"
    assert len(set(recorder.acknowledged)) > 100
    assert len(set(recorder.acknowledged)) == len((tmp_path / "acknowledged").read_text().split())
    assert sum(signals.values()) > 50


@pytest.mark.chaos
def test_an_owner_that_acknowledges_before_the_commit_is_found_out(tmp_path: Path) -> None:
    """The control: the same recorder and the same kills see the loss that acknowledging early makes."""
    rng = random.Random(SEED)
    recorder = Recorder(tmp_path / "acknowledged")
    path = str(tmp_path / "log.db")
    for round_ in range(3):
        run_and_kill(path, round_, "early", rng.uniform(0.05, 0.25), recorder)
    log = SqliteLog(path, LogSettings(), SystemClock())
    stored = {record.value.decode() for record in every(log, "feedback")}
    log.close()
    assert set(recorder.acknowledged) - stored
