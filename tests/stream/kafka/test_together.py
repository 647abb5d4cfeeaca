"""stream/kafka/together: what `send` would have done for each record. On real brokers: tests/contracts, system."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors as ke
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record.memory_records import MemoryRecords
from kafka.structs import TopicPartition
from rejoinder.stream.kafka.together import End, Hand, Sent
from rejoinder.stream.partition import partition_of
from rejoinder.stream.port import NewRecord

NAME = "t.feedback.v1"


class Producer:
    """The library's own accumulator, and no broker. owns: both, and how often its thread was woken."""

    def __init__(self, partitions: int = 3, batch_bytes: int = 10_000) -> None:
        # Longer than a test takes on any machine: who must be woken depends on how old the oldest batch is.
        self._accumulator = RecordAccumulator(batch_size=batch_bytes, linger_ms=60_000)
        self._metadata = SimpleNamespace(
            partitions_for_topic=lambda name: set(range(partitions)) if name == NAME else None,
            leader_for_partition=lambda partition: partition.partition % 2,
        )
        self._sender = SimpleNamespace(wakeup=self._wake)
        self._closed = False
        self.woken = 0

    def _wake(self) -> None:
        self.woken += 1

    def batches(self, partition: int) -> list[Any]:
        return list(self._accumulator._batches[TopicPartition(NAME, partition)])

    def drain(self) -> list[Any]:
        """Every batch, as the sending thread takes them."""
        out = [batch for queue in self._accumulator._batches.values() for batch in queue]
        for queue in self._accumulator._batches.values():
            queue.clear()
        for batch in out:
            batch.drained = 1.0
            batch.records.close()
        return out


class Heard:
    """owns: the ends that were told, by the record's index."""

    def __init__(self) -> None:
        self.ends: dict[int, End] = {}
        self.times = 0

    def __call__(self, ends: Sequence[tuple[Sent, End]]) -> None:
        self.times += 1
        for sent, end in ends:
            assert sent.index not in self.ends, "told twice"
            self.ends[sent.index] = end


def sent(count: int, heard: Heard, value: bytes = b"v", key: str = "k{}") -> list[tuple[str, Sent]]:
    made = [NewRecord("feedback", key.format(i).encode(), value, (("ce_id", b"%d" % i),)) for i in range(count)]
    return [(NAME, Sent(record, index, None, heard)) for index, record in enumerate(made)]


def test_records_lie_in_their_keys_partition_and_hear_their_offset() -> None:
    producer, heard = Producer(), Heard()
    records = sent(30, heard)
    keys = [record.record.key for _, record in records if record.record is not None]
    Hand(producer).over(records)
    assert all(record.handed and record.record is None for _, record in records)
    assert [record.partition for _, record in records] == [partition_of(key, 3) for key in keys]
    for batch in producer.drain():
        lying = [record for part in MemoryRecords(batch.records.buffer()) for record in part]
        expected = [key for key in keys if partition_of(key, 3) == batch.topic_partition.partition]
        assert [record.key for record in lying] == expected
        batch.complete(100, -1)
    assert sorted(heard.ends) == list(range(30))
    for partition in range(3):
        offsets = [heard.ends[record.index] for _, record in records if record.partition == partition]
        assert offsets == list(range(100, 100 + len(offsets)))
    assert heard.times == 3, "once a batch"


def test_a_full_batch_is_followed_by_the_next_and_both_tell() -> None:
    producer, heard = Producer(1, 1000), Heard()
    Hand(producer).over(sent(10, heard, b"x" * 300))
    batches = producer.drain()
    assert len(batches) > 2
    for number, batch in enumerate(batches):
        batch.complete(1000 * number, -1)
    assert len(heard.ends) == 10
    assert len(set(heard.ends.values())) == 10


def test_a_batch_that_failed_tells_each_record_why() -> None:
    producer, heard = Producer(1), Heard()
    Hand(producer).over(sent(3, heard))
    (batch,) = producer.drain()
    batch.complete_exceptionally(ke.KafkaError("a"), lambda at: ke.MessageSizeTooLargeError(str(at)))
    assert [str(heard.ends[i]) for i in range(3)] == [str(ke.MessageSizeTooLargeError(str(i))) for i in range(3)]


def test_a_batch_that_the_library_cuts_in_two_tells_each_record_of_its_half() -> None:
    """A topic's `max.message.bytes` was lowered: the old batch's end is never told."""
    producer, heard = Producer(1), Heard()
    Hand(producer).over(sent(5, heard))
    (batch,) = producer.drain()
    producer._accumulator.split_and_reenqueue(batch)
    first, second = producer.drain()
    producer._accumulator.split_and_reenqueue(first)
    halves = [*producer.drain(), second]
    for number, half in enumerate(halves):
        half.complete(100 * number, -1)
    assert heard.ends == {0: 0, 1: 1, 2: 100, 3: 200, 4: 201}


def test_a_topic_that_is_not_known_takes_nothing() -> None:
    producer, heard = Producer(0), Heard()
    records = sent(2, heard)
    with pytest.raises(ke.KafkaTimeoutError):
        Hand(producer).over(records)
    assert not any(record.handed for _, record in records)


def test_a_closed_producer_takes_nothing_and_what_it_has_taken_is_handed() -> None:
    producer, heard = Producer(), Heard()
    producer._closed = True
    records = sent(2, heard)
    with pytest.raises(ke.IllegalStateError):
        Hand(producer).over(records)
    assert not any(record.handed for _, record in records)
    assert producer._accumulator._appends_in_progress.get() == 0


def test_the_sending_thread_is_woken_for_the_first_batch_of_a_broker_alone() -> None:
    producer, heard = Producer(4), Heard()
    hand = Hand(producer)
    hand.over(sent(1, heard, key="a"))
    assert producer.woken == 1
    for key in ("a", "b", "c", "d", "e", "f"):
        hand.over(sent(1, Heard(), key=key))
    assert producer.woken <= 2, "two brokers lead four partitions"
    producer.drain()
    hand.over(sent(1, Heard(), key="a"))
    assert producer.woken <= 3
    woken = producer.woken
    producer.drain()
    hand.over(sent(1, Heard(), key="a"))
    assert producer.woken == woken + 1, "what it slept for has gone: it must hear of the next"


def test_an_older_batch_that_is_tried_again_says_nothing_of_when_the_thread_looks() -> None:
    producer = Producer(1)
    hand = Hand(producer)
    hand.over(sent(1, Heard()))
    (older,) = producer.batches(0)
    older.attempts = 1
    older.records.close()
    hand.over(sent(1, Heard()))
    assert producer.woken == 2


def test_a_full_batch_wakes_at_once() -> None:
    producer = Producer(1, 500)
    hand = Hand(producer)
    hand.over(sent(1, Heard()))
    woken = producer.woken
    hand.over(sent(3, Heard(), b"x" * 300))
    assert producer.woken == woken + 1
