"""The log in memory: every promise of the port but durability, for tests and for trying things out."""

from __future__ import annotations

import threading
import uuid
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadSettings, LogUnavailable, NotFound, RejoinderError
from rejoinder.core.types import Coordinate
from rejoinder.stream.groups import Commit, Coordinator
from rejoinder.stream.members import Member, Waker
from rejoinder.stream.partition import partition_of
from rejoinder.stream.port import Appended, Identity, NewRecord, Partition, Record
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.steps import EpochTransaction, check_epoch, checked, known_topic
from rejoinder.stream.topics import TOPICS, Topic, routes_of


@dataclass
class _Run:
    """One partition. records: kept ones, by offset. start, end: offsets, where what was removed still counts."""

    records: list[Record] = field(default_factory=list)
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class _First:
    """The first copy of an event. expires: seconds since the epoch."""

    digest: str
    coordinate: Coordinate
    expires: float


class MemoryLog:
    """owns: everything written to it; safe to call from any thread."""

    def __init__(
        self,
        clock: Clock,
        partitions: int = 4,
        settings: LogSettings | None = None,
        topics: Mapping[str, Topic] = TOPICS,
    ) -> None:
        self._clock = clock
        self._settings = settings or LogSettings()
        self.topics = topics
        self._routes = routes_of(topics)
        self._ids = {name: str(uuid.uuid4()) for name in topics}
        self._runs = {name: [_Run() for _ in range(partitions)] for name in topics}
        self._seen: dict[tuple[str, str], _First] = {}
        self._offsets: dict[tuple[str, Partition], int] = {}
        self._epochs: dict[str, int] = {}
        self._lock = threading.RLock()
        self._closed = False
        self.waker = Waker()
        self.coordinator = Coordinator(self.partitions, clock, self._settings.session_timeout_s)

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        future: Future[Sequence[Appended]] = Future()
        try:
            with self._lock:
                records = self._open_for(records)
                done = [self._take(record) for record in records]
        except RejoinderError as error:
            future.set_exception(error)
            return future
        self.waker.wake()
        future.set_result(done)
        return future

    def topic_id(self, topic: str) -> str:
        known_topic(self.topics, topic)
        return self._ids[topic]

    def partitions(self, topic: str) -> int:
        known_topic(self.topics, topic)
        return len(self._runs[topic])

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        with self._lock:
            return {p: self._run(topic, p).start for p in range(self.partitions(topic))}

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        with self._lock:
            return {p: self._run(topic, p).end for p in range(self.partitions(topic))}

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        with self._lock:
            kept = self._run(topic, partition).records
            at = bisect_left(kept, offset, key=lambda record: record.offset)
            return kept[at : at + max_records]

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Member:
        for topic in topics:
            known_topic(self.topics, topic)
        return Member(self, group, topics, member)

    def transaction(self, transactional_id: str) -> EpochTransaction:
        return EpochTransaction(self, transactional_id, self.begin_epoch(transactional_id))

    def close(self) -> None:
        self._closed = True

    def begin_epoch(self, transactional_id: str) -> int:
        """Takes a transactional id; every earlier epoch is fenced."""
        with self._lock:
            self._open_for(())
            self._epochs[transactional_id] = self._epochs.get(transactional_id, 0) + 1
            return self._epochs[transactional_id]

    def step(
        self, transactional_id: str, epoch: int, records: Sequence[NewRecord], commit: Commit | None
    ) -> Sequence[Coordinate]:
        with self._lock:
            records = self._open_for(records)
            check_epoch(transactional_id, epoch, self._epochs.get(transactional_id, 0))
            if commit is not None:
                self.commit(commit)
            coordinates = [self._put(record) for record in records]
        self.waker.wake()
        return coordinates

    def committed(self, group: str, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        with self._lock:
            return {p: self._offsets.get((group, p), self._run(*p).start) for p in partitions}

    def commit(self, commit: Commit) -> None:
        with self._lock:
            self.coordinator.check(commit)
            for partition, offset in commit.positions.items():
                self._offsets[commit.group, partition] = offset

    def grow(self, topic: str, partitions: int) -> None:
        """Adds partitions up to a number; keys are shared out anew from here on. BadSettings for fewer than now."""
        with self._lock:
            if partitions < self.partitions(topic):
                raise BadSettings("a topic cannot lose partitions", field="partitions", topic=topic)
            while len(self._runs[topic]) < partitions:
                self._runs[topic].append(_Run())
        self.waker.wake()

    def expire(self, before: float) -> int:
        """Drops the records taken before a time (seconds since the epoch) from topics that are not compacted."""
        dropped = 0
        with self._lock:
            for run in (r for name, runs in self._runs.items() if not self.topics[name].compacted for r in runs):
                keep = next((i for i, r in enumerate(run.records) if r.timestamp >= before), len(run.records))
                dropped += keep
                del run.records[:keep]
                run.start = run.records[0].offset if run.records else run.end
        return dropped

    def compact(self) -> int:
        """Drops every record of a compacted topic that a later one of the same key in its partition replaces."""
        dropped = 0
        with self._lock:
            for run in (r for name, runs in self._runs.items() if self.topics[name].compacted for r in runs):
                last = {record.key: record.offset for record in run.records}
                kept = [record for record in run.records if last[record.key] == record.offset]
                dropped += len(run.records) - len(kept)
                run.records = kept
        return dropped

    def _open_for(self, records: Sequence[NewRecord]) -> Sequence[NewRecord]:
        if self._closed:
            raise LogUnavailable("the log is closed")
        return checked(self.topics, records, self._routes)

    def _run(self, topic: str, partition: int) -> _Run:
        if not 0 <= partition < self.partitions(topic):
            raise NotFound("the topic has no such partition", topic=topic, partition=partition)
        return self._runs[topic][partition]

    def _take(self, record: NewRecord) -> Appended:
        identity = record.identity
        if identity is None:
            return Appended("recorded", self._put(record))
        first = self._seen.get((identity.tenant, identity.event_id))
        now = self._clock.now()
        if first is not None and first.expires > now:
            return Appended("duplicate" if first.digest == identity.body_digest else "conflict", first.coordinate)
        coordinate = self._put(record)
        self._remember(identity, coordinate, now)
        return Appended("recorded", coordinate)

    def _remember(self, identity: Identity, coordinate: Coordinate, now: float) -> None:
        first = _First(identity.body_digest, coordinate, now + self._settings.dedupe_s)
        self._seen[identity.tenant, identity.event_id] = first

    def _put(self, new: NewRecord) -> Coordinate:
        partition = partition_of(new.key, len(self._runs[new.topic]))
        run = self._runs[new.topic][partition]
        record = Record(new.topic, partition, run.end, new.key, new.value, tuple(new.headers), self._clock.now())
        run.records.append(record)
        run.end += 1
        return record.coordinate
