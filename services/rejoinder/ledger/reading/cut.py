"""A cut: an end-offset vector of the log. What lies before it never changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, false, or_, select

from rejoinder.core.errors import FailedPrecondition, LogReplaced, WindowExpired
from rejoinder.ledger.stores.rows import Place, compact
from rejoinder.ledger.stores.schema import meta, positions


@dataclass(frozen=True)
class Cut:
    """topic_ids: per topic. ends: per topic, partition → offset after the last record before the cut."""

    topic_ids: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    def holds(self, place: Place) -> bool:
        """Whether a record lies before the cut."""
        topic, part, pos = place
        return pos < self.ends.get(topic, {}).get(part, 0)

    def before(self, table: Table, prefix: str = "") -> ColumnElement[bool]:
        """The condition `holds` on a table with the columns topic, part, pos, or others with a prefix."""
        where = [table.c[f"{prefix}{name}"] for name in ("topic", "part", "pos")]
        parts = [
            and_(where[0] == topic, where[1] == part, where[2] < end)
            for topic, ends in sorted(self.ends.items())
            for part, end in sorted(ends.items())
        ]
        return or_(false(), *parts)

    def to_json(self) -> str:
        return compact({"topic_ids": dict(self.topic_ids), "ends": {t: dict(e) for t, e in self.ends.items()}})

    @staticmethod
    def from_json(text: str) -> Cut:
        data: Mapping[str, Any] = json.loads(text)
        ends = {topic: {int(part): end for part, end in found.items()} for topic, found in data["ends"].items()}
        return Cut(data["topic_ids"], ends)


def cut_here(connection: Connection) -> Cut:
    """The cut at what the ledger has read."""
    topic_ids: dict[str, str] = {}
    ends: dict[str, dict[int, int]] = {}
    for row in connection.execute(select(positions).where(positions.c.topic != "erasures")):
        topic_ids[row.topic] = row.topic_id
        ends.setdefault(row.topic, {})[row.part] = row.next
    return Cut(topic_ids, ends)


def check_cut(connection: Connection, earlier: Cut, cut: Cut) -> None:
    """Raises FailedPrecondition where the ledger has not read up to the cut, LogReplaced where it is of another log,
    WindowExpired where the ledger begins after the earlier cut, or its retention has dropped records after it."""
    known = {(row.topic, row.part): row for row in connection.execute(select(positions))}
    for topic, ends in cut.ends.items():
        for part, end in ends.items():
            row = known.get((topic, part))
            if end and (row is None or row.next < end):
                have = 0 if row is None else row.next
                raise FailedPrecondition(
                    f"the ledger has read {topic}/{part} up to {have}, the cut is at {end}", topic=topic, partition=part
                )
            if row is not None and row.topic_id != cut.topic_ids.get(topic):
                raise LogReplaced(f"the cut is of another log: topic {topic} has another id", topic=topic)
            if row is not None and earlier.ends:
                since = earlier.ends.get(topic, {}).get(part, 0)
                _check_held(connection, topic, part, row.first, since)


def _check_held(connection: Connection, topic: str, part: int, first: int, since: int) -> None:
    dropped = connection.execute(select(meta.c.value).where(meta.c.name == dropped_name(topic, part))).scalar() or 0
    for begins, why in ((first, "begins"), (dropped, "has dropped by its retention what lies before")):
        if since < begins:
            raise WindowExpired(
                f"the ledger {why} {topic}/{part} offset {begins}, after the earlier cut", topic=topic, partition=part
            )


def dropped_name(topic: str, part: int) -> str:
    """The row of `meta` that says up to which offset retention has dropped events of a partition."""
    return f"dropped {topic} {part}"
