"""The log in one SQLite file, owned by one process. Durable on a laptop; several ingest processes need Kafka."""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.types import Coordinate
from rejoinder.stream.files import OwnerLock, open_reader, open_writer, translated
from rejoinder.stream.groups import Commit, Coordinator
from rejoinder.stream.members import Member, Waker
from rejoinder.stream.port import Appended, NewRecord, Partition, Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.steps import EpochTransaction, checked, known_topic
from rejoinder.stream.store import Batch, View, read_records
from rejoinder.stream.topics import TOPICS, Topic, routes_of
from rejoinder.stream.writer import Writer

T = TypeVar("T")


class SqliteLog:
    """owns: the lock on the file, the writer and the reading connections; safe to call from any thread.

    Raises StoreOwned when another process owns the file. The owner answers for others by `append`, `begin_epoch` and
    `commit_step`, which workers beside the log reach by RPC.
    """

    def __init__(self, path: str, settings: LogSettings, clock: Clock, topics: Mapping[str, Topic] = TOPICS) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self.topics = topics
        self._routes = routes_of(topics)
        self._lock = OwnerLock(path)
        self.waker = Waker()
        try:
            connect = partial(open_writer, path, settings.busy_timeout_s, settings.max_bytes)
            self._writer = Writer(path, connect, settings, clock, self.waker.wake)
        except BaseException:
            self._lock.release()
            raise
        self._readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        self.coordinator = Coordinator(self.partitions, clock, settings.session_timeout_s)
        if missing := {name: topic for name, topic in topics.items() if name not in self._writer.view.ids}:
            self._write(lambda batch: batch.make_topics(missing, settings.partitions))

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        records = checked(self.topics, records, self._routes)
        return self._writer.submit(lambda batch: batch.append(records), len(records), _size(records))

    def topic_id(self, topic: str) -> str:
        known_topic(self.topics, topic)
        return self._writer.view.ids[topic]

    def partitions(self, topic: str) -> int:
        known_topic(self.topics, topic)
        return len(self._writer.view.slots[topic])

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        view = self._view_with(topic)
        return {partition: view.starts[slot] for partition, slot in enumerate(view.slots[topic])}

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        view = self._view_with(topic)
        return {partition: view.ends[slot] for partition, slot in enumerate(view.slots[topic])}

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        view = self._view_with(topic)
        with self._reader() as connection:
            return read_records(connection, view, topic, partition, offset, max_records)

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Member:
        for topic in topics:
            known_topic(self.topics, topic)
        return Member(self, group, topics, member)

    def transaction(self, transactional_id: str) -> EpochTransaction:
        return EpochTransaction(self, transactional_id, self.begin_epoch(transactional_id))

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        while not self._readers.empty():
            self._readers.get_nowait().close()
        self._lock.release()

    def begin_epoch(self, transactional_id: str) -> int:
        """Takes a transactional id; every earlier epoch is fenced. Durable on return."""
        return self._write(lambda batch: batch.epoch(transactional_id))

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[NewRecord],
        group: str = "",
        offsets: Mapping[Partition, int] | None = None,
    ) -> Sequence[Coordinate]:
        """A step of a worker in another process, which reads partitions it was given.

        transactional_id: "" for none, then epoch is not looked at. group: "" moves no positions. Raises Fenced for an
        old epoch, or when the group has members in this process.
        """
        commit = Commit(group, dict(offsets or {})) if group else None
        return self.step(transactional_id, epoch, records, commit)

    def step(
        self, transactional_id: str, epoch: int, records: Sequence[NewRecord], commit: Commit | None
    ) -> Sequence[Coordinate]:
        records = checked(self.topics, records, self._routes)

        def work(batch: Batch) -> list[Coordinate]:
            batch.check_epoch(transactional_id, epoch)
            if commit is not None:
                self.coordinator.check(commit)
                batch.commit(commit.group, commit.positions)
            return [batch.put(record) for record in records]

        return self._writer.submit(work, len(records), _size(records)).result()

    def committed(self, group: str, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Through the writer, so that a commit which was let through before this call is seen."""
        return self._write(lambda batch: batch.committed(group, partitions))

    def commit(self, commit: Commit) -> None:
        self.step("", 0, (), commit)

    def grow(self, topic: str, partitions: int) -> None:
        """Adds partitions up to a number; keys are shared out anew from here on. BadSettings for fewer than now."""
        known_topic(self.topics, topic)
        self._write(lambda batch: batch.grow(topic, partitions))

    def expire(self, before: float) -> int:
        """Drops the records taken before a time (seconds since the epoch) from topics that are not compacted."""
        kept = [name for name, topic in self.topics.items() if not topic.compacted]
        return sum(self._until_none(partial(Batch.expire, topic=name, before=before)) for name in kept)

    def compact(self) -> int:
        """Drops every record of a compacted topic that a later one of the same key in its partition replaces."""
        compacted = [name for name, topic in self.topics.items() if topic.compacted]
        return sum(self._write(partial(Batch.compact, topic=name)) for name in compacted)

    def keep_house(self) -> int:
        """Retention, compaction and the end of the dedupe time, by the settings; the number of rows removed. Of what is
        gone no byte is left, in the file or in its write-ahead log.

        The owning process calls it now and then (once an hour is plenty); appends go on between its small
        transactions.
        """
        expired = self.expire(self._clock.now() - self._settings.retention_s)
        removed = expired + self.compact() + self._until_none(lambda batch: batch.forget_seen())
        self._write(lambda batch: batch.empty_after())
        return removed

    def durability(self) -> Mapping[str, str]:
        """What SQLite says it does: journal_mode "wal" and synchronous "2" (FULL: a commit is an fsync)."""
        return self._writer.durability()

    def _write(self, work: Callable[[Batch], T]) -> T:
        return self._writer.submit(work).result()

    def _until_none(self, work: Callable[[Batch], int]) -> int:
        total = 0
        while removed := self._write(work):
            total += removed
        return total

    def _view_with(self, topic: str) -> View:
        known_topic(self.topics, topic)
        return self._writer.view

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._readers.get_nowait()
        except queue.Empty:
            connection = open_reader(self._path, self._settings.busy_timeout_s)
        try:
            yield connection
        except sqlite3.Error as error:
            connection.close()
            raise translated(error, self._path) from error
        self._readers.put(connection)


def _size(records: Sequence[NewRecord]) -> int:
    return sum(len(record.value) + len(record.key) for record in records)
