from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from rejoinder.stream.kafka.wire import put

headers = st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=100)), max_size=5)
records = st.lists(
    st.tuples(st.integers(0, 10**6), st.binary(max_size=80), st.binary(max_size=5000), headers), min_size=1, max_size=8
)


@given(records, st.integers(200, 20_000))
def test_a_batch_is_byte_for_byte_what_the_library_writes(
    said: list[tuple[int, bytes, bytes, list[tuple[str, bytes]]]], batch_bytes: int
) -> None:
    """Times that rise, as a clock's do; both leave out what finds no room."""
    ours, theirs = (MemoryRecordsBuilder(2, 0, batch_bytes) for _ in range(2))
    now = 1_700_000_000_000
    for later, key, value, named in said:
        now += later
        place, taken = put(ours, now, key, value, named), theirs.append(now, key, value, named)
        assert place == (None if taken is None else (taken.offset, taken.size))
        assert ours.is_full() == theirs.is_full()
    for each in (ours, theirs):
        each.set_producer_state(7, 1, 3, False)
        each.close()
    assert bytes(ours.buffer()) == bytes(theirs.buffer())
    assert put(ours, now, b"k", b"v", ()) is None, "closed"


def test_a_clock_that_was_set_back_makes_no_time_before_the_batchs_first() -> None:
    records = MemoryRecordsBuilder(2, 0, 1000)
    for now in (1_000, 400, 1_600):
        put(records, now, b"k", b"v", ())
    records.set_producer_state(7, 1, 0, False)
    records.close()
    assert [record.timestamp for batch in MemoryRecords(records.buffer()) for record in batch] == [1_000, 1_000, 1_600]


def test_a_record_of_megabytes_is_written_whole() -> None:
    records = MemoryRecordsBuilder(2, 0, 1000)
    assert put(records, 1, b"k", b"x" * (7 << 20), (("n", b"y" * 5000),)) is not None
    records.close()
    (record,) = [record for batch in MemoryRecords(records.buffer()) for record in batch]
    assert (len(record.value), record.headers) == (7 << 20, [("n", b"y" * 5000)])
