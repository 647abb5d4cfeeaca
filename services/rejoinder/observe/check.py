"""A look at the newest records of the topics, with nothing committed and nobody's words shown: does the map fit?"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rejoinder.core.types import Comment, Edit, FollowUp, Interaction
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.mapped import Event, Mapper, Place
from rejoinder.observe.observer import parsed
from rejoinder.observe.paths import Unmapped
from rejoinder.observe.turns import Conversations, Order
from rejoinder.stream.port import Record

#: Nothing comes any more: everything is settled.
_END = float("inf")


class Reads(Protocol):
    def start_offsets(self, topic: str) -> Mapping[int, int]: ...
    def end_offsets(self, topic: str) -> Mapping[int, int]: ...
    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Sequence[Record]: ...


def newest(reader: Reads, topic: str, count: int) -> tuple[list[Record], int]:
    """At most so many of the newest records, shared out over the partitions that have any; and how many lie there."""
    starts, ends = reader.start_offsets(topic), reader.end_offsets(topic)
    there = {partition: end - starts[partition] for partition, end in ends.items() if end > starts[partition]}
    out: list[Record] = []
    for partition, lie in there.items():
        at, left = ends[partition] - min(lie, -(-count // len(there))), count - len(out)
        while left > 0 and at < ends[partition] and (found := reader.read(topic, partition, at, left)):
            out += found[:left]
            left -= len(found)
            at = found[-1].offset + 1
    return out, sum(there.values())


def looked(records: Sequence[Record], mapper: Mapper, identity: str, order: Order) -> dict[str, Any]:
    """What the map makes of records of one topic: counts, shares of records in which each field was found, lengths."""
    seen = _Seen(mapper, identity, order)
    for record in sorted(records, key=lambda r: (r.timestamp, r.partition, r.offset)):
        seen.take(record)
    return seen.report()


class _Seen:
    """owns: the counts of one topic."""

    def __init__(self, mapper: Mapper, identity: str, order: Order) -> None:
        self._mapper = mapper
        self._identity = identity
        self._open = Conversations(order)
        self._outcomes: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._found: Counter[str] = Counter()
        self._objects = 0
        self._events: list[Event] = []

    def take(self, record: Record) -> None:
        if not record.value:
            self._outcomes["empty"] += 1
            return
        place = Place(record.topic, self._identity, record.partition, record.offset, record.timestamp or None)
        try:
            value = parsed(record.value)
            # Of the records that the map takes: what others hold says nothing about it.
            if self._mapper.map.takes(value):
                self._objects += 1
                self._found.update(name for name in self._mapper.map.names if self._there(name, value))
            found = self._mapper.read(value, place)
        except Unfit as fault:
            self._fault(fault)
            return
        self._outcomes["skipped" if found.skipped else "mapped"] += 1
        self._events += found.events
        if found.said is not None:
            self._open.add(found.said, self._mapper)

    def report(self) -> dict[str, Any]:
        for settled in self._open.settle(_END):
            self._events += settled.events
            if settled.fault is not None:
                self._fault(settled.fault, again=True)
        kinds = Counter("interaction" if isinstance(e, Interaction) else e.kind_name for e in self._events)
        return {
            "outcomes": dict(sorted(self._outcomes.items())),
            "faults": dict(self._faults.most_common()),
            "fields": {name: self._found[name] / max(1, self._objects) for name in self._mapper.map.names},
            "events": dict(sorted(kinds.items())),
            "characters": self._lengths(),
        }

    def _there(self, name: str, value: Any) -> bool:
        try:
            return self._mapper.map.find(name, value) not in (None, "", [])
        except Unmapped:
            return False

    def _fault(self, fault: Unfit, again: bool = False) -> None:
        self._outcomes["unmapped"] += not again
        self._faults[str(fault)] += 1

    def _lengths(self) -> dict[str, list[int]]:
        """Least, middle and greatest number of characters: words have no other place in this report."""
        texts: dict[str, list[int]] = {}
        for event in self._events:
            if isinstance(event, Interaction):
                texts.setdefault("question", []).append(len(event.messages[-1].content) if event.messages else 0)
                texts.setdefault("answer", []).append(len(event.response))
                texts.setdefault("messages", []).append(len(event.messages))
            elif isinstance(event.kind, FollowUp | Comment | Edit):
                texts.setdefault(event.kind_name, []).append(len(event.kind.text))
        return {name: [min(n), round(statistics.median(n)), max(n)] for name, n in texts.items()}
