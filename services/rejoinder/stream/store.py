"""Rows of a log file: what the writer puts into one transaction, and what readers take out."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rejoinder.core.errors import BadSettings, NotFound
from rejoinder.core.types import Coordinate
from rejoinder.stream.files import OFFSET_BITS
from rejoinder.stream.partition import partition_of
from rejoinder.stream.port import Appended, NewRecord, Partition, Record
from rejoinder.stream.steps import check_epoch, known_topic
from rejoinder.stream.topics import Topic

#: One read stops after so many bytes of values: it bounds memory and how long a read transaction lives.
_READ_BYTES = 8 << 20
#: Rows removed per transaction by retention, so that appends never wait long behind it.
_CHUNK = 2_000
_MASK = (1 << OFFSET_BITS) - 1


@dataclass(frozen=True)
class View:
    """What one commit left: topic → id, topic → slot of each partition, slot → first kept and next offset."""

    ids: Mapping[str, str]
    slots: Mapping[str, tuple[int, ...]]
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    def slot(self, topic: str, partition: int) -> int:
        known_topic(self.slots, topic)
        if not 0 <= partition < len(self.slots[topic]):
            raise NotFound("the topic has no such partition", topic=topic, partition=partition)
        return self.slots[topic][partition]

    def coordinate(self, at: int) -> Coordinate:
        slot, offset = at >> OFFSET_BITS, at & _MASK
        for topic, slots in self.slots.items():
            if slot in slots:
                return Coordinate(topic, slots.index(slot), offset)
        raise KeyError(slot)


def load_view(connection: sqlite3.Connection) -> View:
    """The view of what is committed now, in one read."""
    rows = connection.execute(
        "SELECT t.name, t.id, s.partition, s.slot, s.start, s.next FROM topics t JOIN slots s ON s.topic = t.name "
        "ORDER BY t.name, s.partition"
    ).fetchall()
    slots: dict[str, tuple[int, ...]] = {}
    for name, _, _, slot, _, _ in rows:
        slots[name] = (*slots.get(name, ()), slot)
    return View(
        ids={row[0]: row[1] for row in rows},
        slots=slots,
        starts={row[3]: row[4] for row in rows},
        ends={row[3]: row[5] for row in rows},
    )


def read_records(
    connection: sqlite3.Connection, view: View, topic: str, partition: int, offset: int, max_records: int
) -> list[Record]:
    base = view.slot(topic, partition) << OFFSET_BITS
    cursor = connection.execute(
        "SELECT at, timestamp, key, value, headers FROM records WHERE at BETWEEN ? AND ? ORDER BY at LIMIT ?",
        (base + max(0, offset), base + _MASK, max_records),
    )
    out: list[Record] = []
    size = 0
    for at, timestamp, key, value, headers in cursor:
        out.append(Record(topic, partition, at & _MASK, key, value, _headers_from(headers), timestamp))
        size += len(value)
        if size >= _READ_BYTES:
            break
    cursor.close()
    return out


def read_committed(
    connection: sqlite3.Connection, view: View, group: str, partitions: Sequence[Partition]
) -> dict[Partition, int]:
    """Where a group stands, else the first kept record."""
    stored = dict(connection.execute("SELECT slot, next FROM offsets WHERE grp = ?", (group,)).fetchall())
    return {p: stored.get(view.slot(*p), view.starts[view.slot(*p)]) for p in partitions}


def _headers_to(headers: Sequence[tuple[str, bytes]]) -> str:
    return json.dumps([[name, value.decode("latin-1")] for name, value in headers]) if headers else "[]"


def _headers_from(text: str) -> tuple[tuple[str, bytes], ...]:
    return () if text == "[]" else tuple((name, value.encode("latin-1")) for name, value in json.loads(text))


class Batch:
    """One open transaction of the writer. owns: the offsets given out in it, until it commits or is forgotten.

    Every method checks before it writes, so an error of one job leaves the other jobs of the transaction whole.
    """

    def __init__(self, connection: sqlite3.Connection, view: View, now: float, dedupe_s: float) -> None:
        self.connection = connection
        self._view = view
        self._now = now
        self._dedupe_s = dedupe_s
        self._next: dict[int, int] = {}
        self._reload = False
        #: Whether the write-ahead log is to be emptied once this transaction is committed.
        self.empties = False

    def append(self, records: Sequence[NewRecord]) -> list[Appended]:
        return [self._take(record) for record in records]

    def put(self, record: NewRecord) -> Coordinate:
        """Appends without a look for a first copy."""
        partition = self._partition(record)
        return self._insert(record, partition, self._view.slots[record.topic][partition])

    def committed(self, group: str, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return read_committed(self.connection, self._view, group, partitions)

    def commit(self, group: str, positions: Mapping[Partition, int]) -> None:
        self.connection.executemany(
            "INSERT INTO offsets VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next = excluded.next",
            [(group, self._view.slot(*partition), offset) for partition, offset in positions.items()],
        )

    def epoch(self, transactional_id: str) -> int:
        """The epoch after this taking of the id."""
        statement = "INSERT INTO epochs VALUES (?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch"
        return self.connection.execute(statement, (transactional_id,)).fetchall()[0][0]

    def check_epoch(self, transactional_id: str, epoch: int) -> None:
        statement = "SELECT epoch FROM epochs WHERE transactional_id = ?"
        row = self.connection.execute(statement, (transactional_id,)).fetchone()
        check_epoch(transactional_id, epoch, row[0] if row else 0)

    def make_topics(self, topics: Mapping[str, Topic], partitions: int) -> None:
        """Makes the topics that are not there yet."""
        for name in topics:
            if name not in self._view.ids:
                self.connection.execute("INSERT INTO topics VALUES (?, ?)", (name, str(uuid.uuid4())))
                self._add_slots(name, range(partitions))

    def grow(self, topic: str, partitions: int) -> None:
        held = self.connection.execute("SELECT count(*) FROM slots WHERE topic = ?", (topic,)).fetchone()[0]
        if partitions < held:
            raise BadSettings("a topic cannot lose partitions", field="partitions", topic=topic)
        self._add_slots(topic, range(held, partitions))

    def expire(self, topic: str, before: float) -> int:
        """Removes some of the oldest records taken before a time; the number removed, 0 when none is left."""
        removed = 0
        for slot in self._view.slots[topic]:
            base = slot << OFFSET_BITS
            rows = self.connection.execute(
                "SELECT at, timestamp FROM records WHERE at BETWEEN ? AND ? ORDER BY at LIMIT ?",
                (base, base + _MASK, _CHUNK),
            ).fetchall()
            old = next((i for i, (_, timestamp) in enumerate(rows) if timestamp >= before), len(rows))
            if not old:
                continue
            removed += old
            last = rows[old - 1][0]
            self.connection.execute("DELETE FROM records WHERE at BETWEEN ? AND ?", (base, last))
            first = self.connection.execute(
                "SELECT min(at) FROM records WHERE at BETWEEN ? AND ?", (base, base + _MASK)
            ).fetchone()[0]
            start = self._end(slot) if first is None else first & _MASK
            self.connection.execute("UPDATE slots SET start = ? WHERE slot = ?", (start, slot))
            self._reload = True
        return removed

    def compact(self, topic: str) -> int:
        """Removes every record that a later one of the same key in its partition replaces; the number removed."""
        removed = 0
        for slot in self._view.slots[topic]:
            base = slot << OFFSET_BITS
            removed += self.connection.execute(
                "DELETE FROM records WHERE at BETWEEN :low AND :high AND at NOT IN "
                "(SELECT max(at) FROM records WHERE at BETWEEN :low AND :high GROUP BY key)",
                {"low": base, "high": base + _MASK},
            ).rowcount
        return removed

    def forget_seen(self) -> int:
        """Removes some of the ids whose dedupe time is over; the number removed."""
        return self.connection.execute(
            "DELETE FROM seen WHERE (tenant, event_id) IN "
            "(SELECT tenant, event_id FROM seen WHERE expires <= ? LIMIT ?)",
            (self._now, _CHUNK),
        ).rowcount

    def empty_after(self) -> None:
        """What was deleted still stands in the write-ahead log: that is emptied after the commit."""
        self.empties = True

    def finish(self) -> View:
        """Writes the ends; the view that holds once the transaction is committed."""
        self.connection.executemany(
            "UPDATE slots SET next = ? WHERE slot = ?", [(offset, slot) for slot, offset in self._next.items()]
        )
        if self._reload:
            return load_view(self.connection)
        return View(self._view.ids, self._view.slots, self._view.starts, {**self._view.ends, **self._next})

    def _take(self, record: NewRecord) -> Appended:
        identity = record.identity
        if identity is None:
            return Appended("recorded", self.put(record))
        partition = self._partition(record)
        slot = self._view.slots[record.topic][partition]
        at = slot << OFFSET_BITS | self._end(slot)
        new = self.connection.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET digest = excluded.digest, "
            "at = excluded.at, expires = excluded.expires WHERE expires <= ?",
            (identity.tenant, identity.event_id, identity.body_digest, at, self._now + self._dedupe_s, self._now),
        ).rowcount
        if new:
            return Appended("recorded", self._insert(record, partition, slot))
        digest, first = self.connection.execute(
            "SELECT digest, at FROM seen WHERE tenant = ? AND event_id = ?", (identity.tenant, identity.event_id)
        ).fetchone()
        return Appended("duplicate" if digest == identity.body_digest else "conflict", self._view.coordinate(first))

    def _partition(self, record: NewRecord) -> int:
        return partition_of(record.key, len(self._view.slots[record.topic]))

    def _end(self, slot: int) -> int:
        return self._next.get(slot, self._view.ends[slot])

    def _insert(self, record: NewRecord, partition: int, slot: int) -> Coordinate:
        offset = self._end(slot)
        self.connection.execute(
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            (slot << OFFSET_BITS | offset, self._now, record.key, record.value, _headers_to(record.headers)),
        )
        self._next[slot] = offset + 1
        return Coordinate(record.topic, partition, offset)

    def _add_slots(self, topic: str, partitions: range) -> None:
        self.connection.executemany(
            "INSERT INTO slots (topic, partition) VALUES (?, ?)", [(topic, partition) for partition in partitions]
        )
        self._reload = True
