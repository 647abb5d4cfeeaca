"""Reading without a group: committed records from any offset on, and where partitions begin and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka import errors as ke
from kafka.structs import TopicPartition

from rejoinder.core.errors import LogUnavailable, NotFound
from rejoinder.stream.kafka.library import RETRY_AFTER_S, free_parked, partitions_of, translating
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Record

#: Longest single wait for the library; a look is made up of several.
_TURN_S = 0.2


class Reader:
    """owns: one consumer in no group, made when first asked for; callers take turns.

    A topic ends where its last stable offset lies: commit markers and aborted records lie before it too, so an end may
    be past the last record. Once a read has found out that nothing lies between an offset and the end, that offset is
    the end until the partition grows; else a reader that is up to date would look behind for ever.

    names: topic → its name on the brokers.
    """

    def __init__(
        self,
        make: Callable[[], KafkaConsumer],
        names: Mapping[str, str],
        settings: KafkaSettings,
    ) -> None:
        self._make = make
        self._names = names
        self._wait_s = settings.request_s
        self._consumer: KafkaConsumer | None = None
        self._lock = threading.Lock()
        self._closed = False
        #: Where the consumer stands, per partition it is assigned.
        self._next: dict[TopicPartition, int] = {}
        #: (offset, stable end): nothing lies from one to the other.
        self._empty: dict[TopicPartition, tuple[int, int]] = {}

    def partitions(self, topic: str) -> int:
        with self._lock, translating("asking for partitions"):
            return self._partitions(topic)

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        with self._lock, translating("asking for offsets"):
            return self._offsets(topic, "beginning_offsets")

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        with self._lock, translating("asking for offsets"):
            return {p: self._trimmed(self._at(topic, p), end) for p, end in self._offsets(topic, "end_offsets").items()}

    def offsets_at(self, topic: str, moment: float) -> Mapping[int, int]:
        """Per partition, the first record that is not before a moment (seconds); its end where there is none."""
        with self._lock, translating("asking for offsets"):
            ends = self._offsets(topic, "end_offsets")
            wanted = {self._at(topic, partition): max(0, int(moment * 1000)) for partition in ends}
            found = self._opened().offsets_for_times(wanted, self._ms())
            there = {where.partition: at.offset for where, at in found.items() if at is not None}
            return {**ends, **there}

    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Sequence[Record]:
        where = self._at(topic, partition)
        with self._lock, translating("reading"):
            if not 0 <= partition < self._partitions(topic):
                raise NotFound("the topic has no such partition", topic=topic, partition=partition)
            consumer = self._assigned(where)
            stable = consumer.end_offsets([where], self._ms())[where]
            if offset >= self._trimmed(where, stable):
                return []
            try:
                consumer.resume(where)
                return self._fetched(consumer, topic, where, offset, stable, max_records)
            except LogUnavailable:
                # A consumer may stand still for ever once the broker that it read from was killed (NOTES.md).
                self._let_go()
                raise
            finally:
                consumer.pause(where)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._let_go()

    def _let_go(self) -> None:
        """The next read makes a consumer of its own, which knows nothing."""
        if self._consumer is not None:
            self._consumer.close(autocommit=False, timeout_ms=1000)
            self._consumer = None
            self._next.clear()

    def _fetched(
        self, consumer: KafkaConsumer, topic: str, where: TopicPartition, offset: int, stable: int, max_records: int
    ) -> Sequence[Record]:
        """The next records before the stable end, [] when there are none. Raises LogUnavailable when nobody answers."""
        deadline = time.monotonic() + self._wait_s
        if self._next.get(where) != offset:
            consumer.seek(where, offset)
        self._next.pop(where, None)
        while True:
            free_parked(consumer)
            try:
                found = consumer.poll(int(_TURN_S * 1000), max_records).get(where, ())
            except ke.OffsetOutOfRangeError:
                # Retention took what lay here: on at the first record that is left. Where none is, the end must not be
                # taken for the offset that was asked for.
                offset = max(offset, consumer.beginning_offsets([where], self._ms())[where])
                consumer.seek(where, offset)
                found = ()
            if found:
                self._next[where] = consumer.position(where)
                return [record_of(topic, raw) for raw in found]
            at = consumer.position(where)
            if at is not None and at >= stable:
                self._next[where] = at
                known = self._empty.get(where, (offset, stable))
                self._empty[where] = (min(offset, known[0]) if known[1] == stable else offset, stable)
                return []
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    "the brokers did not answer: reading", retry_after_s=RETRY_AFTER_S, topic=topic, offset=offset
                )

    def _trimmed(self, where: TopicPartition, stable: int) -> int:
        offset, until = self._empty.get(where, (stable, stable))
        return max(offset, 0) if until == stable else stable

    def _partitions(self, topic: str) -> int:
        return partitions_of(self._opened(), self._names[topic], self._wait_s)

    def _offsets(self, topic: str, which: str) -> dict[int, int]:
        wanted = [self._at(topic, partition) for partition in range(self._partitions(topic))]
        found = getattr(self._opened(), which)(wanted, self._ms())
        return {where.partition: found[where] for where in wanted}

    def _assigned(self, where: TopicPartition) -> KafkaConsumer:
        """The consumer, with the partition among those it may read; all but one are paused at any time."""
        consumer = self._opened()
        if where not in consumer.assignment():
            held = [*consumer.assignment(), where]
            consumer.assign(held)
            for one in held:
                consumer.seek(one, self._next.get(one, 0))
            consumer.pause(*held)
            self._next = {one: at for one, at in self._next.items() if one in held}
        return consumer

    def _opened(self) -> KafkaConsumer:
        if self._closed:
            raise LogUnavailable("the log is closed")
        if self._consumer is None:
            self._consumer = self._make()
        return self._consumer

    def _at(self, topic: str, partition: int) -> TopicPartition:
        return TopicPartition(self._names[topic], partition)

    def _ms(self) -> int:
        return int(self._wait_s * 1000)


def record_of(topic: str, raw: Any) -> Record:
    """A record as the port has it. raw: as the library read it; topic: our name of it."""
    headers = tuple((name, data) for name, data in raw.headers)
    return Record(topic, raw.partition, raw.offset, raw.key or b"", raw.value or b"", headers, raw.timestamp / 1000)
