"""stream/partition: the same partition as Kafka's default partitioner gives."""

from __future__ import annotations

import pytest
from rejoinder.stream.partition import murmur2, partition_of

#: org.apache.kafka.common.utils.UtilsTest.testMurmur2, as signed 32-bit numbers.
KAFKA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", KAFKA)
def test_the_hash_is_kafkas(key: bytes) -> None:
    assert murmur2(key) == KAFKA[key] % (1 << 32)


def test_keys_spread_over_all_partitions() -> None:
    counts = [0] * 6
    for i in range(6_000):
        counts[partition_of(f"acme\x00c\x00{i}".encode(), 6)] += 1
    assert min(counts) > 850
    assert max(counts) < 1_150


def test_the_empty_key_has_a_partition() -> None:
    assert 0 <= partition_of(b"", 4) < 4
