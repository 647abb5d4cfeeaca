"""stream/memory: what the contract suite does not ask of every log."""

from __future__ import annotations

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Identity, NewRecord
from rejoinder.stream.settings import LogSettings


def test_records_carry_the_clocks_time_when_they_were_taken() -> None:
    clock = ManualClock()
    log = MemoryLog(clock, 1)
    log.append([NewRecord("feedback", b"k", b"one")]).result()
    clock.advance(5)
    log.append([NewRecord("feedback", b"k", b"two")]).result()
    first, second = log.read("feedback", 0, 0)
    assert second.timestamp - first.timestamp == 5


def test_an_id_is_new_again_after_the_dedupe_time() -> None:
    clock = ManualClock()
    log = MemoryLog(clock, 1, LogSettings(dedupe_s=100.0, retention_s=50.0))
    record = NewRecord("feedback", b"k", b"v", identity=Identity("t", "e", "d"))
    outcomes = []
    for wait_s in (0, 99, 2, 1):
        clock.advance(wait_s)
        outcomes.append(log.append([record]).result()[0].outcome)
    assert outcomes == ["recorded", "duplicate", "recorded", "duplicate"]


def test_a_read_is_a_copy() -> None:
    log = MemoryLog(ManualClock(), 1)
    log.append([NewRecord("feedback", b"k", b"v")]).result()
    records = log.read("feedback", 0, 0)
    log.append([NewRecord("feedback", b"k", b"w")]).result()
    assert len(records) == 1


def test_a_malformed_record_is_refused_with_all_it_came_with() -> None:
    log = MemoryLog(ManualClock(), 1)
    with pytest.raises(TypeError):
        log.append([NewRecord("feedback", b"k", b"v"), NewRecord("feedback", "k", b"v")])  # type: ignore[arg-type]
    assert log.end_offsets("feedback") == {0: 0}
