"""observe/observer: what it counts, waits for and commits when partitions move, with a member that does as it is told.
What brokers do is tests/system/observe."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import FailedPrecondition, Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import RecordOutcome
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.letters import Letters
from rejoinder.observe.mapped import Event, Mapper
from rejoinder.observe.observer import Manner, Observer
from rejoinder.observe.turns import Order
from rejoinder.stream.port import NewRecord, Partition, Position, Rebalanced, Record

from tests.system.ingest.serving import Lines

NOW = 1_700_000_000.0
CHAT: Partition = ("chat", 0)


class Member:
    """Records of one partition, from its committed position on. owns: them, and what was committed."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.mine = {CHAT}
        self.at = 0
        self.commits: list[Mapping[Partition, Position]] = []
        self.refused = 0
        self.polls = 0

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        self.polls += 1
        found = self.records[self.at : self.at + max_records]
        self.at += len(found)
        return found

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self.mine)

    def positions(self) -> Mapping[Partition, int]:
        return {partition: self.at if partition == CHAT else 40 for partition in self.mine}

    def committed(self) -> Mapping[Partition, Position]:
        return {partition: Position(0) for partition in self.mine}

    def commit_at(self, positions: Mapping[Partition, Position]) -> None:
        if self.refused:
            self.refused -= 1
            raise Rebalanced("as a test wants it")
        self.commits.append(positions)

    def ends(self) -> Mapping[Partition, int]:
        return {partition: len(self.records) for partition in self.mine}

    def offsets_at(self, moments: Mapping[Partition, float]) -> Mapping[Partition, int]:
        return {}

    def seek(self, partition: Partition, offset: int) -> None:
        self.at = offset

    def rewind(self) -> None:
        self.at = 0


class Sink:
    """Takes everything. during: what happens while it does."""

    def __init__(self, during: Callable[[], None]) -> None:
        self._during = during
        self.events: list[Event] = []

    def record(self, topic: str, events: Sequence[Event]) -> Sequence[tuple[RecordOutcome, str]]:
        self._during()
        self.events += events
        return [(RecordOutcome.RECORDED, "")] * len(events)

    def bury(self, letters: Sequence[NewRecord]) -> None:
        self._during()


def observer(
    member: Member,
    clock: ManualClock,
    during: Callable[[], None] = lambda: None,
    metrics: Metrics | None = None,
    of: str = "flat",
) -> tuple[Observer, Sink]:
    sink = Sink(during)
    made = Observer(
        member=member,
        sink=sink,
        mappers={"chat": Mapper(FieldMap({"preset": of}), ImportAs(source="observe:chat"))},
        ids={"chat": "topic-id"},
        letters=Letters(None, "default", clock),
        order=Order(settle_s=1.0),
        manner=Manner(batch=100, look_s=0.0, poison_limit=10),
        clock=clock,
        metrics=metrics or Metrics(),
        log=Lines().log,
        wait=lambda seconds: None,
    )
    return made, sink


def record(offset: int, value: Any, at: float = NOW) -> Record:
    return Record("chat", 0, offset, b"", json.dumps(value).encode(), (), at)


def message(offset: int, at: float) -> Record:
    role = "assistant" if offset % 2 else "user"
    return record(offset, {"conversation_id": "c", "id": f"m{offset}", "role": role, "content": "x"}, at)


def turns(of: Observer, count: int) -> None:
    for _ in range(count):
        try:
            of.turn()
        except Rebalanced:
            of._again()


def test_what_a_rebalance_has_read_again_is_not_more_in_a_row() -> None:
    """Seven of ten that are allowed, read three times over."""
    member = Member([record(n, {"other": "schema"}) for n in range(7)])
    member.refused = 2
    made, _ = observer(member, ManualClock(NOW))
    turns(made, 8)
    assert [moved[CHAT].offset for moved in member.commits] == [7]
    more = Member([record(n, {"other": "schema"}) for n in range(11)])
    with pytest.raises(FailedPrecondition):
        turns(observer(more, ManualClock(NOW))[0], 2)


def test_a_producer_whose_clock_is_ahead_holds_nothing_back() -> None:
    clock = ManualClock(NOW)
    member = Member([message(0, NOW + 86_400.0), message(1, NOW + 86_400.0)])
    made, sink = observer(member, clock)
    turns(made, 2)
    assert not sink.events
    clock.advance(2.0)
    turns(made, 1)
    assert [type(event).__name__ for event in sink.events] == ["Interaction"]
    assert member.commits[-1][CHAT].offset == 2


def test_the_lag_grows_while_the_service_is_away() -> None:
    """That is when somebody looks at it."""
    clock = ManualClock(NOW)
    member = Member([message(0, NOW - 60.0), message(1, NOW - 60.0)])
    metrics = Metrics()

    def away() -> None:
        member.records = [*member.records[:2], *(message(n, NOW) for n in range(2, 9))]
        raise Unavailable("as a test wants it")

    made, _ = observer(member, clock, during=away, metrics=metrics)
    made.run(iter([False, False, *[False] * 3, True]).__next__)
    assert metrics["observe_lag_records"]._value.get() == 7


def test_the_group_hears_of_a_member_that_delivers_for_long() -> None:
    """A few long conversations are thousands of events: a member that is thrown out before it has delivered them would
    begin again with them for ever."""
    turns_ = [{"from": ("human", "gpt")[n % 2], "value": "x"} for n in range(1500)]
    member = Member([record(0, {"id": "c", "conversations": turns_})])
    polls: list[int] = []
    made, sink = observer(member, ManualClock(NOW), during=lambda: polls.append(member.polls), of="sharegpt")
    turns(made, 2)
    assert len(sink.events) == 1499
    assert (len(polls), sorted(set(polls))) == (4, [2, 3, 4])
    assert [moved[CHAT].offset for moved in member.commits] == [1]


def test_a_partition_that_came_while_a_batch_was_in_hand_keeps_what_stands_beside_its_position() -> None:
    """The moment from which it needs messages is its last reader's to say, until it is read here."""
    clock = ManualClock(NOW)
    member = Member([message(0, NOW - 60.0), message(1, NOW - 60.0)])
    made, sink = observer(member, clock, during=lambda: member.mine.add(("chat", 1)))
    turns(made, 2)
    assert sink.events
    assert [set(moved) for moved in member.commits] == [{CHAT}]
