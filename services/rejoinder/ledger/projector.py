"""From the log to the ledger: batches of records, each with its positions and counters in one transaction.

Order-free and exactly once: see NOTES.md. `erasures` is read to its end before the first other record of every pass.
A record that cannot be read is set aside (UNREADABLE) and never stops the reader; if it cannot be set aside, the
transaction fails and the projector stops where it was. A log that is not the one read before stops it with LogReplaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, select, update

from rejoinder.core import codec, types
from rejoinder.core.clock import Clock
from rejoinder.core.errors import LogReplaced
from rejoinder.core.ids import derived_id
from rejoinder.ledger import dialect, rows
from rejoinder.ledger.forget import Forgetter, finish
from rejoinder.ledger.schema import EVENTS, erasures, positions
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.settler import Settler, place_of
from rejoinder.ledger.store import Store
from rejoinder.stream.port import Record


class Readable(Protocol):
    """What the projector needs of a log: the reading half of `stream.port.Log`."""

    def topic_id(self, topic: str) -> str: ...
    def end_offsets(self, topic: str) -> Mapping[int, int]: ...
    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]: ...


RUNBOOK = (
    "this is not the log that the ledger was made from. Either give it back that log, or keep the old ledger aside and "
    "rebuild: python -m rejoinder.ledger replay --into NEW_FILE"
)


@dataclass(frozen=True)
class Projected:
    """What one pass did: records read, and whether it reached the ends seen at its start."""

    records: int
    caught_up: bool


class Projector:
    """owns: the writing side of one store while it projects."""

    def __init__(self, store: Store, settings: LedgerSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def project_once(self, log: Readable, max_records: int | None = None) -> Projected:
        """Erasures to their end, then one batch of the other topics. Raises LogReplaced."""
        limit = max_records or self._settings.batch
        with self._store.reading() as connection:
            known = {(row.topic, row.part): row for row in connection.execute(select(positions))}
        ends = {topic: self._check(log, topic, known) for topic in ("erasures", *EVENTS)}
        total = self._read_erasures(log, ends["erasures"], known)
        batch: list[Record] = []
        behind = False
        for topic in EVENTS:
            for part, end in sorted(ends[topic].items()):
                start = known[topic, part].next if (topic, part) in known else 0
                new = log.read(topic, part, start, limit - len(batch)) if start < end and len(batch) < limit else []
                batch += new
                behind |= (new[-1].offset + 1 if new else start) < end
        if batch:
            with self._store.writing() as connection:
                self.apply(connection, batch, {topic: log.topic_id(topic) for topic in {r.topic for r in batch}})
        return Projected(total + len(batch), not behind)

    def _check(self, log: Readable, topic: str, known: Mapping[tuple[str, int], object]) -> Mapping[int, int]:
        ends = log.end_offsets(topic)
        for (name, part), row in known.items():
            if name != topic:
                continue
            if row.topic_id != log.topic_id(topic):
                raise LogReplaced(f"topic {topic} has another id; {RUNBOOK}", topic=topic)
            if ends.get(part, 0) < row.next:
                raise LogReplaced(
                    f"topic {topic}, partition {part} ends at {ends.get(part, 0)}, before the stored {row.next}; "
                    f"{RUNBOOK}",
                    topic=topic,
                    partition=part,
                )
        return ends

    def _read_erasures(self, log: Readable, ends: Mapping[int, int], known: Mapping[tuple[str, int], object]) -> int:
        total = 0
        for part, end in sorted(ends.items()):
            start = known["erasures", part].next if ("erasures", part) in known else 0
            while start < end:
                batch = log.read("erasures", part, start, self._settings.batch)
                if not batch:
                    break
                with self._store.writing() as connection:
                    self.apply(connection, batch, {"erasures": log.topic_id("erasures")})
                start = batch[-1].offset + 1
                total += len(batch)
        if total:
            self._store.shrink()
        return total

    def apply(self, connection: Connection, batch: Sequence[Record], topic_ids: Mapping[str, str]) -> None:
        """One batch of records in the caller's transaction: what they say, their positions, their counters."""
        settler = Settler(connection, self._settings)
        forgetter = Forgetter(connection, settler, self._settings.forgetting)
        gone = self._take_erasures(connection, settler, [r for r in batch if r.topic == "erasures"])
        key = self._settings.forgetting.key
        settler.take([rows.arrive(record, key) for record in batch if record.topic != "erasures"])
        forgetter.apply(gone, rows.micros(self._clock.now()))
        forgetter.spread()
        finish(connection, settler, self._settings.rules)
        self._advance(connection, batch, topic_ids)

    def _take_erasures(self, connection: Connection, settler: Settler, batch: Sequence[Record]) -> set[str]:
        """Records erasures; answers whom they are about. The lowest record of a ticket is the one that is stored."""
        about: set[str] = set()
        for record in batch:
            erasure = read_erasure(record)
            if erasure is None:
                settler.take([rows.arrive(record, self._settings.forgetting.key)])
                continue
            place = (record.topic, record.partition, record.offset)
            first = connection.execute(select(erasures).where(erasures.c.ticket == erasure.ticket)).mappings().first()
            if first is None or place < place_of(first):
                connection.execute(dialect.insert_or_replace(erasures), [_erasure_row(record, erasure)])
                about.add(erasure.subject)
            settler.take_erasure(place, None if first is None else place_of(first))
        return about

    def _advance(self, connection: Connection, batch: Sequence[Record], topic_ids: Mapping[str, str]) -> None:
        first: dict[tuple[str, int], Record] = {}
        last: dict[tuple[str, int], Record] = {}
        for record in batch:
            first.setdefault((record.topic, record.partition), record)
            last[record.topic, record.partition] = record
        for (topic, part), record in last.items():
            row = {"topic": topic, "part": part, "topic_id": topic_ids[topic], "first": first[topic, part].offset}
            moved = {"next": record.offset + 1, "record_at": rows.micros(record.timestamp)}
            connection.execute(dialect.insert_or_keep(positions), [row | moved])
            connection.execute(
                update(positions).where(positions.c.topic == topic, positions.c.part == part).values(**moved)
            )


def read_erasure(record: Record) -> types.Erasure | None:
    """The erasure in a record, None where its bytes are none."""
    try:
        erasure = codec.decode(record.value, types.Erasure)
    except Exception:  # any bytes may lie on the log
        return None
    if not erasure.subject or erasure.erased_at is None:
        return None
    ticket = erasure.ticket or derived_id(erasure.subject, str(erasure.erased_at))
    return types.Erasure(erasure.subject, ticket, erasure.erased_at, erasure.grace or 0.0)


def _erasure_row(record: Record, erasure: types.Erasure) -> rows.Row:
    return {
        "ticket": erasure.ticket,
        "subject": erasure.subject,
        "erased_at": rows.micros(erasure.erased_at or 0.0),
        "grace": rows.micros(erasure.grace or 0.0),
        "topic": record.topic,
        "part": record.partition,
        "pos": record.offset,
        "record_at": rows.micros(record.timestamp),
    }
