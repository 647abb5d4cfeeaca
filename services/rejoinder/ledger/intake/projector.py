"""From the log to the ledger: batches of records, each with its positions and counters in one transaction.

Order-free and exactly once: see NOTES.md. `erasures` is read to its end before the first other record of every pass.
A record that cannot be read is set aside (UNREADABLE) and never stops the reader; if it cannot be set aside, the
transaction fails and the projector stops where it was. A log that is not the one read before stops it with LogReplaced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Table, select, update

from rejoinder.core import codec, types
from rejoinder.core.clock import Clock
from rejoinder.core.errors import Aborted, Fenced, LogReplaced, StoreUnavailable
from rejoinder.core.ids import derived_id
from rejoinder.ledger.erasure import owed, rawcopies
from rejoinder.ledger.erasure.forget import Forgetter, finish
from rejoinder.ledger.intake.settler import Settler, place_of
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import dialect, rows
from rejoinder.ledger.stores.rows import Arrived
from rejoinder.ledger.stores.schema import DAY, EVENTS, erasures, positions
from rejoinder.ledger.stores.store import Store
from rejoinder.stream.port import Record
from rejoinder.stream.topics import Topic, generation_of, of_kinds, owner_of


class Readable(Protocol):
    """What the projector needs of a log: the reading half of `stream.port.Log`."""

    @property
    def topics(self) -> Mapping[str, Topic]: ...
    def topic_id(self, topic: str) -> str: ...
    def end_offsets(self, topic: str) -> Mapping[int, int]: ...
    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]: ...


class Kept(Readable, Protocol):
    """A log that says what retention has left."""

    def start_offsets(self, topic: str) -> Mapping[int, int]: ...


RUNBOOK = (
    "this is not the log that the ledger was made from. Either give it back that log, or keep the old ledger aside and "
    "rebuild: python -m rejoinder.ledger replay --into NEW_FILE"
)
OWN_RUNBOOK = (
    "this tenant's own topics were deleted and made anew. What the ledger has it keeps; to have the new ones read from "
    "their first record, say log.kafka.tenants.{tenant}.generation: {next} to every process"
)


#: How often a transaction is tried that the database gives up for another (a deadlock, a serialization failure).
TRIES = 5
#: Seconds that whoever has read all takes the stored positions for unmoved: the ends of a log cost far less to look at.
TRUSTED_S = 1.0
#: Topic and partition → the offset that a batch was read from.
Starts = Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class Topics:
    """The topics of a log as they are now: the id of each, and where its partitions end."""

    ids: Mapping[str, str]
    ends: Mapping[str, Mapping[int, int]]


def looked_at(log: Readable) -> Topics:
    """Those that a ledger is made from, `erasures` first."""
    names = ("erasures", *of_kinds(log.topics, EVENTS))
    return Topics({name: log.topic_id(name) for name in names}, {name: log.end_offsets(name) for name in names})


@dataclass(frozen=True)
class Projected:
    """What one pass did: records read, and whether it reached the ends seen at its start."""

    records: int
    caught_up: bool


class Projector:
    """owns: the writing side of one store while it projects, and how the log was when all of it was read."""

    def __init__(self, store: Store, settings: LedgerSettings, clock: Clock) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._read_all: Topics | None = None
        self._read_all_at = 0.0

    def project_once(self, log: Readable, max_records: int | None = None) -> Projected:
        """Erasures to their end, then one batch of the other topics. Raises LogReplaced.

        The store is left alone while the log is as it was when all of it was read, TRUSTED_S ago at most.
        """
        now = self._clock.monotonic()
        if self._read_all and now < self._read_all_at + TRUSTED_S and looked_at(log) == self._read_all:
            return Projected(0, True)
        with self._store.reading() as connection:
            known = {(row.topic, row.part): row for row in connection.execute(select(positions))}
        # After the positions: another owner may move them on meanwhile, and must not make the log look cut short.
        found = looked_at(log)
        self._check(found, known)
        done = self._read(log, found, known, max_records or self._settings.batch)
        self._read_all = found if done == Projected(0, True) else None
        self._read_all_at = now
        return done

    def _read(self, log: Readable, found: Topics, known: Mapping[tuple[str, int], Any], limit: int) -> Projected:
        ends, events = found.ends, [name for name in found.ends if name != "erasures"]
        starts = {place: row.next for place, row in known.items()}
        total = self._read_erasures(log, ends["erasures"], starts)
        batch: list[Record] = []
        behind = False
        for topic in events:
            for part, end in sorted(ends[topic].items()):
                start = starts.get((topic, part), 0)
                new = log.read(topic, part, start, limit - len(batch)) if start < end and len(batch) < limit else []
                batch += new
                behind |= (new[-1].offset + 1 if new else start) < end
        if batch:
            self._write(batch, starts, {topic: log.topic_id(topic) for topic in {r.topic for r in batch}})
        return Projected(total + len(batch), not behind)

    def _check(self, found: Topics, known: Mapping[tuple[str, int], Any]) -> None:
        for (topic, part), row in known.items():
            if topic not in found.ids:
                continue
            if row.topic_id != found.ids[topic]:
                raise LogReplaced(f"topic {topic} has another id; {way_out(topic)}", topic=topic)
            if found.ends[topic].get(part, 0) < row.next:
                raise LogReplaced(
                    f"topic {topic}, partition {part} ends at {found.ends[topic].get(part, 0)}, before the stored "
                    f"{row.next}; {way_out(topic)}",
                    topic=topic,
                    partition=part,
                )

    def _read_erasures(self, log: Readable, ends: Mapping[int, int], starts: Starts) -> int:
        total = 0
        for part, end in sorted(ends.items()):
            start = starts.get(("erasures", part), 0)
            while start < end:
                batch = log.read("erasures", part, start, self._settings.batch)
                if not batch:
                    break
                self._write(batch, {("erasures", part): start}, {"erasures": log.topic_id("erasures")})
                start = batch[-1].offset + 1
                total += len(batch)
        if total and not self._store.database.by_day:
            with suppress(Aborted):
                self._store.shrink()
        return total

    def _write(self, batch: Sequence[Record], starts: Starts, topic_ids: Mapping[str, str]) -> None:
        """One batch in one transaction, tried again a few times where the database gave it up. Raises Fenced,
        StoreUnavailable: then nothing of it is stored, or all of it and the next pass sees it."""
        given_up = 0
        arrivals = self._arrivals(batch)
        if self._store.database.by_day:
            self._store.make_room(self._plausible_days(arrivals))
        while True:
            try:
                with self._store.writing() as connection:
                    self._check_unmoved(connection, {(r.topic, r.partition) for r in batch}, starts)
                    self._apply(connection, batch, arrivals, topic_ids)
                    return
            except Fenced:
                raise
            except Aborted:
                given_up += 1
                if given_up == TRIES:
                    raise StoreUnavailable(
                        f"the database gave up the same batch {TRIES} times", retry_after_s=1.0, records=len(batch)
                    ) from None

    def _check_unmoved(self, connection: Connection, read: set[tuple[str, int]], starts: Starts) -> None:
        """The positions must be those that the batch was read from: another projector may have taken over since."""
        for row in connection.execute(select(positions.c.topic, positions.c.part, positions.c.next)):
            if (row.topic, row.part) in read and row.next != starts.get((row.topic, row.part), 0):
                raise Fenced(
                    f"another projector has read {row.topic}, partition {row.part} up to {row.next}",
                    topic=row.topic,
                    partition=row.part,
                )

    def apply(self, connection: Connection, batch: Sequence[Record], topic_ids: Mapping[str, str]) -> None:
        """One batch of records in the caller's transaction: what they say, their positions, their counters."""
        self._apply(connection, batch, self._arrivals(batch), topic_ids)

    def _arrivals(self, batch: Sequence[Record]) -> Sequence[Arrived]:
        key = self._settings.forgetting.key
        return [rows.arrive(record, key) for record in batch if record.topic != "erasures"]

    def _plausible_days(self, arrivals: Sequence[Arrived]) -> Mapping[Table, set[int]]:
        """The days to make room for: of events that may be stored. A stamp far ahead of the log's own makes none, nor
        one so old that its event is EXPIRED, nor bytes that are no event: they would make a partition each."""
        oldest = rows.micros(self._settings.rules.dedupe_s) - DAY
        days: dict[Table, set[int]] = defaultdict(set)
        for arrived in arrivals:
            if not arrived.reason and -DAY < arrived.record_at - arrived.accepted_at <= oldest:
                days[EVENTS[arrived.kind]].add(arrived.accepted_at // DAY)
        return days

    def _apply(
        self,
        connection: Connection,
        batch: Sequence[Record],
        arrivals: Sequence[Arrived],
        topic_ids: Mapping[str, str],
    ) -> None:
        settler = Settler(connection, self._settings)
        forgetter = Forgetter(connection, settler, self._settings.forgetting)
        gone = self._take_erasures(connection, settler, [r for r in batch if r.topic == "erasures"])
        settler.take(arrivals)
        forgetter.apply(gone, rows.micros(self._clock.now()))
        forgetter.spread()
        finish(connection, settler, self._settings.rules)
        self._advance(connection, batch, topic_ids)
        owed.note(connection, ((remains.kind, remains.accepted_at) for remains in settler.remains))
        rawcopies.note(connection, settler.remains)

    def _take_erasures(self, connection: Connection, settler: Settler, batch: Sequence[Record]) -> set[str]:
        """Records erasures; answers whom they are about. The lowest record of a ticket is the one that is stored."""
        about: set[str] = set()
        for record in batch:
            erasure = read_erasure(record)
            if erasure is None:
                settler.take([rows.arrive(record, self._settings.forgetting.key)])
                continue
            place = (record.topic, record.partition, record.offset)
            known = dialect.named(connection.execute(select(erasures).where(erasures.c.ticket == erasure.ticket)))
            first = place_of(known[0]) if known else None
            if first is None or place < first:
                connection.execute(dialect.insert_or_replace(connection, erasures), [_erasure_row(record, erasure)])
                about.add(erasure.subject)
            settler.take_erasure(place, first)
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
            connection.execute(dialect.insert_or_keep(connection, positions), [row | moved])
            connection.execute(
                update(positions).where(positions.c.topic == topic, positions.c.part == part).values(**moved)
            )


def way_out(topic: str) -> str:
    """What to do where a topic is another log than the one that was read."""
    tenant = owner_of(topic)
    return OWN_RUNBOOK.format(tenant=tenant, next=generation_of(topic) + 1) if tenant else RUNBOOK


def read_erasure(record: Record) -> types.Erasure | None:
    """The erasure in a record, None where its bytes are none, or name what no index takes."""
    try:
        erasure = codec.decode(record.value, types.Erasure)
    except Exception:  # any bytes may lie on the log
        return None
    ticket = erasure.ticket or derived_id(erasure.subject, str(erasure.erased_at))
    named = all(rows.is_name(text) for text in (erasure.subject, ticket))
    if not erasure.subject or not named or erasure.erased_at is None:
        return None
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
