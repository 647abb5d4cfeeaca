"""stream/follower: reading beside an owner that comes and goes, and writing through it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced, LogReplaced, LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.stream.follower import FollowerLog, FollowerSettings
from rejoinder.stream.port import Appended, NewRecord, Partition
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

SETTINGS = LogSettings(partitions=2)


class Owner:
    """The owner as an RPC reaches it; away while `log` is None. owns: nothing."""

    def __init__(self, log: SqliteLog | None = None) -> None:
        self.log = log

    def _there(self) -> SqliteLog:
        if self.log is None:
            raise LogUnavailable("the owner is away")
        return self.log

    def append(self, records: Sequence[NewRecord]) -> Sequence[Appended]:
        return self._there().append(records).result()

    def begin_epoch(self, transactional_id: str) -> int:
        return self._there().begin_epoch(transactional_id)

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[NewRecord],
        group: str,
        offsets: Mapping[Partition, int],
    ) -> Sequence[Coordinate]:
        return self._there().commit_step(transactional_id, epoch, records, group, offsets)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


@pytest.fixture
def owner(path: str) -> Iterator[Owner]:
    owner = Owner(SqliteLog(path, SETTINGS, ManualClock()))
    yield owner
    if owner.log is not None:
        owner.log.close()


@pytest.fixture
def follower(path: str, owner: Owner) -> Iterator[FollowerLog]:
    follower = FollowerLog(path, owner)
    yield follower
    follower.close()


def new(value: bytes, topic: str = "feedback") -> NewRecord:
    return NewRecord(topic, value, value)


def poll(consumer, count: int) -> list[bytes]:
    out: list[bytes] = []
    for _ in range(100):
        if len(out) >= count:
            break
        out += [record.value for record in consumer.poll(0.1)]
    return out


def test_a_worker_beside_the_owner_reads_steps_and_goes_on_after_its_own_restart(
    path: str, owner: Owner, follower: FollowerLog
) -> None:
    follower.append([new(b"one"), new(b"two")]).result()
    transaction = follower.transaction("signals/0")
    consumer = follower.subscribe("signals", ["feedback"], "m1")
    assert sorted(poll(consumer, 2)) == [b"one", b"two"]
    transaction.step([new(b"s", "signals")], consumer)
    follower.append([new(b"three")]).result()
    again = FollowerLog(path, owner)
    second = again.transaction("signals/0")
    assert poll(again.subscribe("signals", ["feedback"], "m1"), 1) == [b"three"]
    with pytest.raises(Fenced):
        transaction.step([new(b"zombie", "signals")], consumer)
    second.step([new(b"s2", "signals")])
    again.close()
    assert sum(follower.end_offsets("signals").values()) == 2


def test_two_workers_may_be_given_different_partitions(path: str, owner: Owner) -> None:
    values = [b"%d" % i for i in range(30)]
    Owner(owner.log).append([new(v) for v in values])
    logs = [FollowerLog(path, owner, FollowerSettings(partitions={"feedback": (p,)})) for p in range(2)]
    got = []
    for partition, log in enumerate(logs):
        consumer = log.subscribe("signals", ["feedback"], f"m{partition}")
        got.append(poll(consumer, log.end_offsets("feedback")[partition]))
        assert consumer.assignment() == {("feedback", partition)}
        log.close()
    assert all(got)
    assert sorted(got[0] + got[1]) == sorted(values)


def test_reading_goes_on_while_the_owner_is_away_and_writing_says_so(owner: Owner, follower: FollowerLog) -> None:
    follower.append([new(b"one")]).result()
    consumer = follower.subscribe("signals", ["feedback"], "m1")
    assert owner.log is not None
    owner.log.close()
    owner.log = None
    assert poll(consumer, 1) == [b"one"]
    with pytest.raises(LogUnavailable):
        follower.append([new(b"two")]).result()
    with pytest.raises(LogUnavailable):
        follower.transaction("signals/0")
    with pytest.raises(LogUnavailable):
        consumer.commit()


def test_before_the_owner_ever_ran_there_is_nothing_to_follow(path: str) -> None:
    owner = Owner()
    follower = FollowerLog(path, owner)
    with pytest.raises(LogUnavailable):
        follower.subscribe("signals", ["feedback"], "m1")
    owner.log = SqliteLog(path, SETTINGS, ManualClock())
    follower.append([new(b"one")]).result()
    assert poll(follower.subscribe("signals", ["feedback"], "m1"), 1) == [b"one"]
    follower.close()
    owner.log.close()


WRITER = """
import sys
from rejoinder.core.clock import SystemClock
from rejoinder.stream.port import NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
log = SqliteLog(sys.argv[1], LogSettings(), SystemClock())
log.append([NewRecord("feedback", v.encode(), v.encode()) for v in sys.argv[2:]]).result()
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def owner_process(path: str, *values: str) -> Iterator[None]:
    """An owner that appends some values, and is killed in the end."""
    command = [sys.executable, "-c", WRITER, path, *values]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()


def test_an_open_reader_lives_through_kills_of_the_owner(path: str) -> None:
    follower = FollowerLog(path, Owner())
    with owner_process(path, "one", "two"):
        consumer = follower.subscribe("signals", ["feedback"], "m1")
        got = poll(consumer, 2)
    assert list(consumer.poll(0.0)) == []
    for value in ("three", "four"):
        with owner_process(path, value):
            got += poll(consumer, 1)
    assert sorted(got) == [b"four", b"one", b"three", b"two"]
    follower.close()


@pytest.mark.parametrize("lingers", [False, True], ids=["follower", "control: a reader that stays in a transaction"])
def test_a_reader_holds_no_transaction_between_looks(
    path: str, owner: Owner, follower: FollowerLog, lingers: bool
) -> None:
    """A reader that stayed in one would keep the write-ahead log from being used anew, for as long as it lives."""
    consumer = follower.subscribe("signals", ["feedback"], "m1")
    lingering = sqlite3.connect(path, isolation_level=None)
    if lingers:
        lingering.execute("BEGIN")
        lingering.execute("SELECT count(*) FROM records").fetchone()
    for i in range(60):
        follower.append([NewRecord("feedback", b"k", bytes(200_000))]).result()
        assert len(poll(consumer, 1)) == 1, i
    lingering.close()
    assert (os.path.getsize(path + "-wal") < 6 << 20) != lingers, "12 MB passed through the write-ahead log"


def test_another_log_under_the_same_name_is_not_read_on(path: str, owner: Owner, follower: FollowerLog) -> None:
    follower.append([new(b"one")]).result()
    consumer = follower.subscribe("signals", ["feedback"], "m1")
    poll(consumer, 1)
    assert owner.log is not None
    owner.log.close()
    for name in Path(path).parent.glob("log.db*"):
        name.unlink()
    with pytest.raises(LogUnavailable):
        consumer.poll(0.0)
    owner.log = SqliteLog(path, SETTINGS, ManualClock())
    owner.append([new(b"one"), new(b"one")])  # long enough that the old position lies within it
    for _ in range(2):
        with pytest.raises(LogReplaced):
            consumer.poll(0.0)


def test_an_older_copy_of_the_same_log_is_not_read_on(
    path: str, tmp_path: Path, owner: Owner, follower: FollowerLog
) -> None:
    """A restored backup has the topic ids; that it ends before the stored position gives it away."""
    assert owner.log is not None
    owner.log.close()
    shutil.copy(path, tmp_path / "backup")
    owner.log = SqliteLog(path, SETTINGS, ManualClock())
    follower.append([new(b"one")]).result()
    consumer = follower.subscribe("signals", ["feedback"], "m1")
    poll(consumer, 1)
    owner.log.close()
    for name in Path(path).parent.glob("log.db-*"):
        name.unlink()
    os.replace(tmp_path / "backup", path)
    owner.log = SqliteLog(path, SETTINGS, ManualClock())
    with pytest.raises(LogReplaced):
        consumer.poll(0.0)
