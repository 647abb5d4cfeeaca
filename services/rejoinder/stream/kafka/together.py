"""Many records handed to kafka-python at once, as `KafkaProducer.send` hands over one.

For each record `send` looks for its topic, hashes its key, takes three locks, makes a future with two callbacks, and
may wake the sending thread: three quarters of what a record costs. A call's records know most of that together. Nothing
is left out that a promise rests on: the batches, their sequence numbers and their fate stay the library's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

from kafka import KafkaProducer
from kafka import errors as ke
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from rejoinder.stream.kafka.recent import Slot
from rejoinder.stream.kafka.wire import put
from rejoinder.stream.partition import partition_of
from rejoinder.stream.port import NewRecord

#: A record's offset, or why it has none.
End = int | BaseException

#: A conversation's turns come one after the other.
_partition_of = lru_cache(maxsize=10_000)(partition_of)


class Sent:
    """One record on its way. index: in its call. slot: of its id. partition: known once it is handed over. ended: told
    on the library's thread, of many at once.

    handed: False until the library has it; it then tells of its end whatever happens.
    """

    __slots__ = ("ended", "handed", "identity", "index", "partition", "record", "slot", "topic")

    def __init__(
        self, record: NewRecord, index: int, slot: Slot | None, ended: Callable[[Sequence[tuple[Sent, End]]], None]
    ) -> None:
        self.record: NewRecord | None = record
        self.topic = record.topic
        self.identity = record.identity
        self.index = index
        self.slot = slot
        self.ended = ended
        self.handed = False
        self.partition = -1

    def rebind(self, produced: Any, at: int) -> None:
        """Called by the library when it has cut a batch in two: the old one's end is never told."""
        _listen(produced, [(self, at)])


class Hand:
    """Hands records to one producer. owns: for which batch the sending thread was last woken, by its broker."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer
        self._woken: dict[int, ProducerBatch] = {}

    def over(self, records: Sequence[tuple[str, Sent]]) -> None:
        """(topic's name on the brokers, record): into the library's batches; its thread is woken where it must look.

        Raises KafkaTimeoutError for a topic that is not known, and what the library does; records that are not `handed`
        then go nowhere.
        """
        accumulator = self._producer._accumulator
        parts = self._parts(records)
        accumulator._appends_in_progress.increment()
        wake = False
        try:
            for partition, sent in parts.items():
                with accumulator._tp_lock(partition):
                    if self._producer._closed or accumulator._closed:
                        raise ke.IllegalStateError("the producer is closed")
                    fresh, full = _append(accumulator, partition, sent)
                wake = full or (fresh is not None and self._must_hear(partition, fresh)) or wake
        except BaseException:
            # It may have been broken off before it was known whether what it has taken is heard of.
            wake = True
            raise
        finally:
            accumulator._appends_in_progress.decrement()
            if wake:
                self._producer._sender.wakeup()

    def _parts(self, records: Sequence[tuple[str, Sent]]) -> Mapping[TopicPartition, Sequence[Sent]]:
        """By partition, as every log has them."""
        parts: dict[TopicPartition, list[Sent]] = {}
        counts: dict[str, int] = {}
        for name, sent in records:
            if not (count := counts.get(name)):
                counts[name] = count = len(self._producer._metadata.partitions_for_topic(name) or ())
            if not count:
                raise ke.KafkaTimeoutError("the topic's partitions are not known")
            assert sent.record is not None
            parts.setdefault(TopicPartition(name, _partition_of(sent.record.key, count)), []).append(sent)
        return parts

    def _must_hear(self, partition: TopicPartition, batch: ProducerBatch) -> bool:
        """Whether the sending thread might sleep beyond a new batch's time. Not while an older one for the same broker
        waits for its own: the thread looks at all of a broker's batches when that one is due, and once more after it
        has sent any. Looked at after `batch` was put in, so the older one cannot have gone before.

        An older one whose partition has a batch on its way is looked at when that is answered: a broker takes nothing
        more from us before it has answered. Only where the leader has moved from a broker that hangs may `batch` wait
        longer, until that request's time is over (`request_s`) or anybody wakes the thread."""
        node = self._producer._metadata.leader_for_partition(partition)
        linger_s = self._producer._accumulator.config["linger_ms"] / 1000
        older = self._woken.get(node)
        waits = older is not None and not older.drained and not older.attempts and older.final_state is None
        if waits and older is not None and batch.created - older.created < linger_s:
            return False
        self._woken[node] = batch
        return True


def _append(accumulator: Any, partition: TopicPartition, records: Sequence[Sent]) -> tuple[ProducerBatch | None, bool]:
    """Under the partition's lock. (a new batch, if one was needed; whether one is full)."""
    batches = accumulator._batches[partition]
    batch: ProducerBatch | None = batches[-1] if batches else None
    fresh: ProducerBatch | None = None
    now, now_ms = time.monotonic(), int(time.time() * 1000)
    places: list[tuple[Sent, int]] = []
    for sent in records:
        record = sent.record
        assert record is not None
        key, value, headers = record.key, record.value, record.headers
        taken = None if batch is None else put(batch.records, now_ms, key, value, headers)
        if taken is None:
            fresh = batch = _batch(accumulator, partition, now)
            places = []
            taken = put(batch.records, now_ms, key, value, headers)
            batches.append(batch)
            accumulator._incomplete.add(batch)
        assert batch is not None
        assert taken is not None
        if not places:
            _listen(batch.produce_future, places)
        places.append((sent, taken[0]))
        batch._record_futures.append(sent)
        batch.max_record_size = max(batch.max_record_size, taken[1])
        batch.last_append = now
        # The bytes are in the batch now.
        sent.handed, sent.partition, sent.record = True, partition.partition, None
    return fresh, len(batches) > 1 or (batch is not None and batch.records.is_full())


def _batch(accumulator: Any, partition: TopicPartition, now: float) -> ProducerBatch:
    config = accumulator.config
    made = MemoryRecordsBuilder(config["message_version"], config["compression_attrs"], config["batch_size"])
    return ProducerBatch(partition, made, now=now)


def _listen(produced: Any, places: Sequence[tuple[Sent, int]]) -> None:
    """places: records and their numbers in the batch; may grow until it is sent."""
    produced._add_cb_eb(partial(_produced, places), partial(_failed, places))


def _produced(
    places: Sequence[tuple[Sent, int]], result: tuple[int, Any, Callable[[int], BaseException] | None]
) -> None:
    base, _, error_of = result
    if error_of is not None:
        _tell([(sent, error_of(at)) for sent, at in places])
    else:
        # -1: the brokers had the batch already and do not say where.
        _tell([(sent, base + at if base != -1 else -1) for sent, at in places])


def _failed(places: Sequence[tuple[Sent, int]], error: BaseException) -> None:
    _tell([(sent, error) for sent, _ in places])


def _tell(ends: Sequence[tuple[Sent, End]]) -> None:
    if ends:
        ends[0][0].ended(ends)
