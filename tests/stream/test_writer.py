"""stream/writer: commits made of what arrived, a bounded queue, and errors that stay with the job that made them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced, LogUnavailable, QueueFull
from rejoinder.stream.files import open_writer
from rejoinder.stream.port import NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.store import Batch
from rejoinder.stream.topics import TOPICS
from rejoinder.stream.writer import Writer

#: Of waits that end with what they wait for.
WAIT_S = 60.0


class Hold:
    """A job that stays in its transaction until it is let go. owns: two events."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, batch: Batch) -> None:
        self.reached.set()
        assert self.let_go.wait(WAIT_S)


@pytest.fixture
def published() -> list[int]:
    return []


@pytest.fixture
def make(tmp_path: Path, published: list[int]) -> Iterator[Callable[..., Writer]]:
    made: list[Writer] = []

    def build(connect: Callable[[], sqlite3.Connection] | None = None, **changes: int) -> Writer:
        path = str(tmp_path / "log.db")
        connect = connect or partial(open_writer, path, 1.0)
        made.append(Writer(path, connect, LogSettings(**changes), ManualClock(), lambda: published.append(1)))
        return made[-1]

    yield build
    for writer in made:
        writer.close()


def test_what_waits_during_a_commit_makes_up_the_next_one(make: Callable[..., Writer], published: list[int]) -> None:
    writer = make()
    hold = Hold()
    first = writer.submit(hold)
    assert hold.reached.wait(WAIT_S)
    rest = [writer.submit(lambda batch: None, records=1) for _ in range(50)]
    hold.let_go.set()
    for future in [first, *rest]:
        future.result(WAIT_S)
    assert len(published) == 2


def test_a_commit_holds_no_more_records_than_it_may(make: Callable[..., Writer], published: list[int]) -> None:
    writer = make(batch_records=10)
    hold = Hold()
    writer.submit(hold)
    assert hold.reached.wait(WAIT_S)
    rest = [writer.submit(lambda batch: None, records=4) for _ in range(6)]
    hold.let_go.set()
    for future in rest:
        future.result(WAIT_S)
    assert len(published) == 1 + 3


@pytest.mark.parametrize(("changes", "records", "size"), [({"queue_records": 10}, 6, 0), ({"queue_bytes": 10}, 1, 6)])
def test_a_full_queue_says_so_at_once_and_when_to_come_back(
    make: Callable[..., Writer], changes: dict[str, int], records: int, size: int
) -> None:
    writer = make(**changes)
    hold = Hold()
    writer.submit(hold)
    assert hold.reached.wait(WAIT_S)
    taken = writer.submit(lambda batch: "taken", records, size)
    refused = writer.submit(lambda batch: "refused", records, size)
    assert refused.done()
    with pytest.raises(QueueFull) as caught:
        refused.result()
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 0
    hold.let_go.set()
    assert taken.result(WAIT_S) == "taken"
    assert writer.submit(lambda batch: "room again", records, size).result(WAIT_S) == "room again"


def test_a_single_job_larger_than_the_queue_is_taken_when_nothing_waits(make: Callable[..., Writer]) -> None:
    assert make(queue_bytes=10).submit(lambda batch: "large", 1, 100).result(WAIT_S) == "large"


def test_one_fenced_job_does_not_spoil_the_others_of_its_commit(make: Callable[..., Writer]) -> None:
    writer = make()
    hold = Hold()
    writer.submit(hold)
    assert hold.reached.wait(WAIT_S)
    writer.submit(lambda batch: batch.epoch("slot-0"))
    fenced = writer.submit(lambda batch: batch.check_epoch("slot-0", 7))
    after = writer.submit(lambda batch: batch.epoch("slot-0"))
    hold.let_go.set()
    assert after.result(WAIT_S) == 2
    with pytest.raises(Fenced):
        fenced.result(WAIT_S)


def test_closing_writes_what_waits_and_takes_no_more(make: Callable[..., Writer]) -> None:
    writer = make()
    hold = Hold()
    writer.submit(hold)
    assert hold.reached.wait(WAIT_S)
    waiting = writer.submit(lambda batch: batch.epoch("slot-0"))
    hold.let_go.set()
    writer.close()
    assert waiting.result(0) == 1
    with pytest.raises(LogUnavailable):
        writer.submit(lambda batch: None).result(0)


class LyingConnection(sqlite3.Connection):
    """Reports an I/O error for commits that may or may not have been taken. owns: the failures still to come."""

    failures: list[str]

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        if sql == "COMMIT" and self.failures:
            if self.failures.pop() == "taken":
                super().execute("COMMIT")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return super().execute(sql, *parameters)


@pytest.mark.parametrize(("how", "next_offset"), [("taken", 1), ("not taken", 0)])
def test_after_a_commit_of_unknown_end_the_writer_looks_at_the_file_again(
    make: Callable[..., Writer], tmp_path: Path, how: str, next_offset: int
) -> None:
    """Offsets given out must start from what the file holds, not from what the writer believed."""
    path = str(tmp_path / "log.db")
    open_writer(path, 1.0).close()
    failures: list[str] = []

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=LyingConnection)
        connection.failures = failures
        return connection

    writer = make(connect)
    writer.submit(lambda batch: batch.make_topics(TOPICS, 1)).result(WAIT_S)
    failures.append(how)
    with pytest.raises(LogUnavailable):
        writer.submit(lambda batch: batch.put(NewRecord("feedback", b"k", b"v"))).result(WAIT_S)
    after = writer.submit(lambda batch: batch.put(NewRecord("feedback", b"k", b"v"))).result(WAIT_S)
    assert after.offset == next_offset
    assert writer.view.ends[writer.view.slot("feedback", 0)] == next_offset + 1
