"""stream/sqlite: what the file adds to the port: durability, one owner, full disks, damage."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadEncoding, BadFile, DataLoss, DiskFull, LogReplaced, StoreOwned
from rejoinder.stream.port import Identity, NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

SETTINGS = LogSettings(partitions=2)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.db")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log(path: str, clock: ManualClock) -> Iterator[SqliteLog]:
    opened = SqliteLog(path, SETTINGS, clock)
    yield opened
    opened.close()


def record(value: bytes, event_id: str = "", topic: str = "feedback") -> NewRecord:
    return NewRecord(topic, b"k", value, identity=Identity("t", event_id, "d") if event_id else None)


def stored(log: SqliteLog, topic: str = "feedback") -> list[bytes]:
    return [r.value for p in range(log.partitions(topic)) for r in log.read(topic, p, 0, 100_000)]


def test_a_commit_is_an_fsync_of_the_write_ahead_log(log: SqliteLog) -> None:
    """U02: acknowledged means synchronous=FULL (2) on the connection that writes, not merely in our settings."""
    assert log.durability() == {"journal_mode": "wal", "synchronous": "2"}


def test_everything_is_there_after_a_restart(path: str, clock: ManualClock) -> None:
    log = SqliteLog(path, SETTINGS, clock)
    log.append([record(b"one", "e")]).result()
    consumer = log.subscribe("g", ["feedback"], "m")
    consumer.poll(0.0)
    old = log.transaction("slot-0")
    old.step([record(b"s", topic="signals")], consumer)
    identity = log.topic_id("feedback")
    log.close()
    log = SqliteLog(path, SETTINGS, clock)
    assert log.topic_id("feedback") == identity
    assert (stored(log), stored(log, "signals")) == ([b"one"], [b"s"])
    assert [a.outcome for a in log.append([record(b"one", "e")]).result()] == ["duplicate"]
    assert list(log.subscribe("g", ["feedback"], "m").poll(0.0)) == []
    assert log.begin_epoch("slot-0") == 2
    log.close()


def test_many_appenders_share_commits_and_each_keeps_its_order(log: SqliteLog) -> None:
    def write(name: int) -> None:
        for i in range(40):
            log.append([record(b"%d/%d" % (name, i), f"{name}/{i}")]).result()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = stored(log)
    assert len(values) == len(set(values)) == 320
    for name in range(8):
        assert [v for v in values if v.startswith(b"%d/" % name)] == [b"%d/%d" % (name, i) for i in range(40)]


def test_a_caller_that_gives_up_cancels_nobodys_commit(log: SqliteLog) -> None:
    """F06: the record lies there and the neighbours hear of theirs."""
    futures = [log.append([record(str(i).encode())]) for i in range(50)]
    assert not any(future.cancel() for future in futures[::2])
    assert all(future.result(60)[0].outcome == "recorded" for future in futures)


def test_an_id_is_new_again_after_the_dedupe_time(log: SqliteLog, clock: ManualClock) -> None:
    (first,) = log.append([record(b"one", "e")]).result()
    clock.advance(SETTINGS.dedupe_s - 1)
    assert [a.outcome for a in log.append([record(b"one", "e")]).result()] == ["duplicate"]
    clock.advance(2)
    (again,) = log.append([record(b"one", "e")]).result()
    assert again.outcome == "recorded"
    (third,) = log.append([record(b"one", "e")]).result()
    assert third.coordinate == again.coordinate != first.coordinate


def test_the_file_has_one_owner_and_the_second_learns_which(log: SqliteLog, path: str, clock: ManualClock) -> None:
    with pytest.raises(StoreOwned) as caught:
        SqliteLog(path, SETTINGS, clock)
    assert caught.value.metadata["pid"] == str(os.getpid())
    assert str(os.getpid()) in caught.value.message
    log.append([record(b"still mine")]).result()


def test_a_link_to_the_file_is_the_same_file(log: SqliteLog, path: str, tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "link.db").symlink_to(path)
    with pytest.raises(StoreOwned):
        SqliteLog(str(tmp_path / "link.db"), SETTINGS, clock)


OWNER = """
import sys, time
from rejoinder.core.clock import SystemClock
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
log = SqliteLog(sys.argv[1], LogSettings(), SystemClock())
print("owned", flush=True)
time.sleep(60)
"""


def test_a_killed_owner_leaves_no_lock(path: str, clock: ManualClock) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, path], stdout=subprocess.PIPE)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        with pytest.raises(StoreOwned) as caught:
            SqliteLog(path, SETTINGS, clock)
        assert caught.value.metadata["pid"] == str(owner.pid)
    finally:
        os.kill(owner.pid, signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
    SqliteLog(path, SETTINGS, clock).close()


def test_a_full_file_acknowledges_nothing_and_takes_records_again_when_there_is_room(
    path: str, clock: ManualClock
) -> None:
    settings = dataclasses.replace(SETTINGS, max_bytes=400_000)
    log = SqliteLog(path, settings, clock)
    errors = [log.append([record(bytes(10_000), f"e{i}")]).exception() for i in range(100)]
    acknowledged = errors.count(None)
    assert 10 < acknowledged < 60
    assert {type(error) for error in errors} == {type(None), DiskFull}
    assert len(stored(log)) == acknowledged
    consumer = log.subscribe("g", ["feedback"], "m")
    assert len(consumer.poll(0.0)) == acknowledged
    clock.advance(1)
    assert log.expire(clock.now()) == acknowledged
    refused = next(i for i, error in enumerate(errors) if error)
    (again,) = log.append([record(bytes(10_000), f"e{refused}")]).result()
    assert again.outcome == "recorded", "an id that was refused is not remembered as seen"
    log.close()


FAILING_DISK = """
import resource, sys
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import LogUnavailable
from rejoinder.stream.port import Identity, NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
log = SqliteLog(sys.argv[1], LogSettings(partitions=1), SystemClock())
def add(i):
    return log.append([NewRecord("feedback", b"k", bytes(50_000), identity=Identity("t", f"e{i}", "d"))]).result()
kept = [add(i)[0].outcome for i in range(3)]
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
failed = 0
for i in range(3, 6):
    try:
        add(i)
    except LogUnavailable as error:
        failed += error.metadata["code"].startswith("SQLITE_IOERR")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
kept += [add(i)[0].outcome for i in range(3, 6)]
print(failed, kept == ["recorded"] * 6, [r.offset for r in log.read("feedback", 0, 0)])
log.close()
"""


def test_a_failing_write_is_unavailable_and_leaves_nothing_behind(path: str) -> None:
    """A real EFBIG from the kernel, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", FAILING_DISK, path], capture_output=True, text=True, check=False)
    assert done.stdout == "3 True [0, 1, 2, 3, 4, 5]\n", done.stderr


def test_a_file_that_is_no_database_is_named(path: str, clock: ManualClock) -> None:
    Path(path).write_bytes(b"these are not the pages you are looking for" * 200)
    with pytest.raises(DataLoss) as caught:
        SqliteLog(path, SETTINGS, clock)
    assert caught.value.metadata["path"] == path
    Path(path).unlink()
    SqliteLog(path, SETTINGS, clock).close()


def test_a_damaged_page_is_data_loss_not_an_empty_answer(path: str, clock: ManualClock) -> None:
    log = SqliteLog(path, SETTINGS, clock)
    for i in range(200):
        log.append([record(b"%d" % i * 500)]).result()
    log.close()
    with open(path, "r+b") as file:
        file.seek(10 * 4096)
        file.write(b"\xff" * 4096 * 30)
    log = SqliteLog(path, SETTINGS, clock)
    with pytest.raises(DataLoss):
        stored(log)
    log.close()


def test_another_programs_database_is_left_alone(path: str, clock: ManualClock) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.commit()
    other.close()
    with pytest.raises(BadFile):
        SqliteLog(path, SETTINGS, clock)


def test_an_owner_whose_file_was_taken_away_acknowledges_nothing(log: SqliteLog, path: str) -> None:
    """What is written to a file without a name is gone at the next start, however well it was fsynced."""
    log.append([record(b"kept")]).result()
    os.rename(path, path + ".moved")
    with pytest.raises(LogReplaced):
        log.append([record(b"lost")]).result()


def test_a_malformed_record_is_refused_before_it_meets_others(log: SqliteLog) -> None:
    with pytest.raises(TypeError):
        log.append([NewRecord("feedback", b"k", "words")])  # type: ignore[arg-type]
    with pytest.raises(BadEncoding):
        log.append([record(b"v", "\ud800")])
    log.append([record(b"fine")]).result()
    assert stored(log) == [b"fine"]


def test_keeping_house_drops_what_is_old_and_forgets_ids_after_their_time(log: SqliteLog, clock: ManualClock) -> None:
    log.append([record(b"old", "e1"), record(b"a", topic="arms"), record(b"b", topic="arms")]).result()
    clock.advance(SETTINGS.retention_s - 1)
    log.append([record(b"young", "e2")]).result()
    clock.advance(2)
    log.keep_house()
    assert (stored(log), stored(log, "arms")) == ([b"young"], [b"b"])
    assert [a.outcome for a in log.append([record(b"old", "e1")]).result()] == ["duplicate"]
    clock.advance(SETTINGS.dedupe_s)
    assert log.keep_house() == 3, "one record and two ids"


def test_of_what_retention_took_no_byte_is_left(log: SqliteLog, clock: ManualClock, path: str) -> None:
    """F16: neither in pages that are free again nor in the write-ahead log."""

    def lie(word: bytes) -> bool:
        return any(word in file.read_bytes() for file in Path(path).parent.iterdir())

    log.append([record(b"a long secret", f"e{n}") for n in range(50)]).result()
    assert lie(b"a long secret")
    clock.advance(SETTINGS.retention_s + 1)
    log.append([record(b"young", "e-young")]).result()
    log.keep_house()
    assert not lie(b"a long secret")
    assert lie(b"young")


class NoRoom:
    """A writing connection whose write-ahead log cannot be emptied."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        if "wal_checkpoint" in statement:
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(statement, *values)


def test_a_write_ahead_log_that_cannot_be_emptied_fails_nothing_that_was_committed(
    log: SqliteLog, clock: ManualClock
) -> None:
    log.append([record(b"old")]).result()
    clock.advance(SETTINGS.retention_s + 1)
    log._writer._connection = NoRoom(log._writer._connection)
    assert log.keep_house() == 1
    log.append([record(b"young")]).result()
    assert stored(log) == [b"young"]


def test_a_step_from_outside_moves_positions_only_of_a_group_without_members(log: SqliteLog) -> None:
    log.append([record(b"one")]).result()
    ends = {("feedback", p): end for p, end in log.end_offsets("feedback").items()}
    epoch = log.begin_epoch("slot-0")
    log.commit_step("slot-0", epoch, [record(b"s", topic="signals")], "workers", ends)
    assert log.committed("workers", list(ends)) == ends
    log.commit_step("", 0, [record(b"plain", topic="signals")])
    assert stored(log, "signals") == [b"s", b"plain"]
