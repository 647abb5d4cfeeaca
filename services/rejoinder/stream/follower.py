"""The SQLite log as other processes on the machine see it: they read the file, and write through its owner.

Reading needs no owner, so a follower goes on while the owner is down; a write then fails with LogUnavailable. Members
are not shared out: every worker is given the partitions it reads, all of them by default, and what keeps two of them
apart is the epoch of their transactional id.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rejoinder.core.errors import LogReplaced, LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.stream.files import file_identity, open_reader, translated
from rejoinder.stream.groups import Commit
from rejoinder.stream.members import Cursor
from rejoinder.stream.port import Appended, Consumer, NewRecord, Partition, Record
from rejoinder.stream.steps import claim_of, known_topic
from rejoinder.stream.store import View, load_view, read_committed, read_records
from rejoinder.stream.topics import TOPICS, Topic

T = TypeVar("T")


class Taken(Protocol):
    """What the owner says of a record, as `port.Appended` has it."""

    @property
    def outcome(self) -> str: ...

    @property
    def coordinate(self) -> Coordinate: ...


class Appender(Protocol):
    """The owner, as reached by RPC. Every call returns when what it did is durable.

    None of them is repeated by itself: after an error the caller takes its transactional id anew and looks at the
    committed positions, which settles whether a step was taken.
    """

    def append(self, records: Sequence[NewRecord]) -> Sequence[Taken]: ...

    def begin_epoch(self, transactional_id: str) -> int: ...

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[NewRecord],
        group: str,
        offsets: Mapping[Partition, int],
    ) -> Sequence[Coordinate]: ...


@dataclass(frozen=True)
class FollowerSettings:
    """Times in seconds."""

    #: Partitions this process reads of each topic; a topic not named is read whole, added partitions included.
    partitions: Mapping[str, tuple[int, ...]] | None = None
    #: How often a waiting reader looks for more: bounds the delay of a record, costs a look at a file's counter.
    look_s: float = 0.05
    #: How long a read waits for a lock on the file (the owner's recovery after a kill).
    busy_timeout_s: float = 1.0


class FollowerLog:
    """A `port.Log` beside the owner. owns: one read-only connection and a thread that appends.

    Raises LogUnavailable while there is no file, LogReplaced for ever once the file is another log than the first seen.
    """

    def __init__(self, path: str, appender: Appender, settings: FollowerSettings | None = None) -> None:
        #: Of a SQLite log, where nobody has topics of its own: one file has one owner, whom no ACL divides.
        self.topics: Mapping[str, Topic] = TOPICS
        self._path = path
        self._appender = appender
        self._settings = settings or FollowerSettings()
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._version = -1
        self._view: View | None = None
        self._ids: Mapping[str, str] = {}
        self._closed = False
        self._appends = ThreadPoolExecutor(1, thread_name_prefix="log-append")

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        if self._closed:
            future: Future[Sequence[Appended]] = Future()
            future.set_exception(LogUnavailable("the log is closed"))
            return future
        return self._appends.submit(self._appended, tuple(records))

    def _appended(self, records: Sequence[NewRecord]) -> Sequence[Appended]:
        return [Appended(taken.outcome, taken.coordinate) for taken in self._appender.append(records)]

    def topic_id(self, topic: str) -> str:
        return self._with_view(lambda _, view: known_topic(view.ids, topic))

    def partitions(self, topic: str) -> int:
        return len(self._with_view(lambda _, view: known_topic(view.slots, topic)))

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        return self._with_view(lambda _, view: dict(enumerate(view.starts[s] for s in known_topic(view.slots, topic))))

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return self._with_view(lambda _, view: dict(enumerate(view.ends[s] for s in known_topic(view.slots, topic))))

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        return self._with_view(lambda con, view: read_records(con, view, topic, partition, offset, max_records))

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> FollowerConsumer:
        """A reader of the partitions this process was given; it shares with nobody."""
        for topic in topics:
            self.topic_id(topic)
        return FollowerConsumer(self, group, topics, self._settings.look_s)

    def transaction(self, transactional_id: str) -> FollowerTransaction:
        return FollowerTransaction(self._appender, transactional_id, self._appender.begin_epoch(transactional_id))

    def close(self) -> None:
        self._closed = True
        self._appends.shutdown(wait=True)
        with self._lock:
            self._let_go()

    def assigned(self, topics: Sequence[str]) -> frozenset[Partition]:
        """The partitions of some topics that this process reads."""
        given = self._settings.partitions or {}
        return frozenset((t, p) for t in topics for p in given.get(t) or range(self.partitions(t)))

    def committed(self, group: str, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        return self._with_view(lambda con, view: read_committed(con, view, group, partitions))

    def commit(self, commit: Commit) -> None:
        self._appender.commit_step("", 0, (), commit.group, commit.positions)

    def _with_view(self, look: Callable[[sqlite3.Connection, View], T]) -> T:
        """One look at the file as it is now."""
        with self._lock:
            if self._closed:
                raise LogUnavailable("the log is closed")
            try:
                connection = self._current()
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                if self._view is None or version != self._version:
                    self._view = self._same_log(load_view(connection))
                    self._version = version
                return look(connection, self._view)
            except sqlite3.Error as error:
                self._let_go()
                raise translated(error, self._path) from error

    def _current(self) -> sqlite3.Connection:
        """The connection to the file that lies at the path now, which may be another one than before."""
        found = file_identity(self._path)
        if found == (0, 0):
            self._let_go()
            raise LogUnavailable("there is no log file yet", retry_after_s=1.0, path=self._path)
        if self._connection is None or found != self._file:
            self._let_go()
            self._connection = open_reader(self._path, self._settings.busy_timeout_s)
            self._file = found
        return self._connection

    def _same_log(self, view: View) -> View:
        if not view.ids:
            raise LogUnavailable("the log is still being made", retry_after_s=1.0, path=self._path)
        changed = [topic for topic, known in self._ids.items() if view.ids.get(topic) != known]
        if changed:
            raise LogReplaced("the log file is another log than before", path=self._path, topics=",".join(changed))
        self._ids = view.ids
        return view

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._view = None


class FollowerTransaction:
    """A `port.Transaction` at the owner's. owns: nothing but its epoch."""

    def __init__(self, appender: Appender, transactional_id: str, epoch: int) -> None:
        self._appender = appender
        self._id = transactional_id
        self._epoch = epoch

    def step(self, records: Sequence[NewRecord], consumer: Consumer | None = None) -> Sequence[Coordinate]:
        commit = Commit("", {}) if consumer is None else claim_of(consumer)
        return self._appender.commit_step(self._id, self._epoch, records, commit.group, commit.positions)

    def close(self) -> None:
        """Nothing is held open between steps."""


class FollowerConsumer:
    """A `port.Consumer` of given partitions. owns: its positions; belongs to one thread."""

    def __init__(self, log: FollowerLog, group: str, topics: Sequence[str], look_s: float) -> None:
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._look_s = look_s
        self._cursor = Cursor(log)

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            self._take_up()
            records = self._cursor.fetch(max_records)
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            time.sleep(min(left, self._look_s))

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._cursor.positions)

    def positions(self) -> Mapping[Partition, int]:
        return dict(self._cursor.positions)

    def commit(self) -> None:
        self._log.commit(self.claim())

    def seek(self, partition: Partition, offset: int) -> None:
        self._take_up()
        if partition not in self._cursor.positions:
            raise KeyError(f"{partition} is not read by this process")
        self._cursor.positions[partition] = offset

    def rewind(self) -> None:
        self._cursor.positions.clear()

    def close(self) -> None:
        self._cursor.positions.clear()

    def claim(self) -> Commit:
        return Commit(self._group, self.positions())

    def _take_up(self) -> None:
        new = sorted(self._log.assigned(self._topics) - self.assignment())
        if new:
            self._cursor.positions.update(self._log.committed(self._group, new))
