"""Partitions that are paused while a part of a fetch waits: what is parked comes back."""

from __future__ import annotations

import pytest
from kafka import TopicPartition
from rejoinder.stream.kafka.library import Library, free_parked
from rejoinder.stream.port import NewRecord
from rejoinder.stream.topics import full_name

from tests.brokers import shared
from tests.system.kafka.world import opened, settings

pytestmark = pytest.mark.system


@pytest.mark.parametrize("freed", [True, False], ids=["as we read", "the library alone"])
def test_a_partition_that_was_parked_is_read_on(freed: bool) -> None:
    """3.0.12 parks what a paused partition has left, and takes it back only while nothing stands in line: a partition
    read to its end stands there for ever, and the parked one is neither given out nor fetched again."""
    of = settings(shared(), partitions=2)
    with opened(of) as log:
        taken = [log.append([NewRecord("feedback", b"%d" % n, b"x")]).result(60)[0].coordinate for n in range(9)]
        key = b"%d" % next(n for n, where in enumerate(taken) if where.partition == 0)
        log.append([NewRecord("feedback", key, b"x")] * 20).result(60)
        consumer = Library(of, "test").reader()
        long, short = (TopicPartition(full_name(of.prefix, "feedback"), partition) for partition in (0, 1))
        try:
            consumer.assign([long, short])
            consumer.seek_to_beginning(long, short)
            consumer.pause(short)
            while not consumer.poll(100, 1):
                pass
            consumer.pause(long)
            consumer.resume(short)
            while not consumer.poll(100, 500):
                pass
            consumer.resume(long)
            if freed:
                free_parked(consumer)
            assert bool(consumer.poll(30_000 if freed else 500, 500)) is freed
        finally:
            consumer.close()
