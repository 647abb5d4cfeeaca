"""A ledger made anew from the log, and held against the one that stands.

Both must speak of the same records. Above, the rebuilt one reads no further than the standing one has read. Below, the
log may have dropped what the standing one still knows: then either the rebuilt one begins as a snapshot, with all that
the log had when that was written, or the standing one is cut too, by projecting, of the records that it holds, those
that the log still has. `erasures` are never dropped, so they are read whole on both sides; the marks that erased
records left are taken over from the standing ledger then, or what names no user would come back to life.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table, select

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.errors import Aborted, LogReplaced, WindowExpired
from rejoinder.ledger.intake.projector import Kept, Projector, Readable, way_out
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import rows
from rejoinder.ledger.stores.dialect import Where
from rejoinder.ledger.stores.digest import ledger_digest
from rejoinder.ledger.stores.retention import drop_before
from rejoinder.ledger.stores.rows import Arrived
from rejoinder.ledger.stores.schema import EVENTS, erasures, parity, positions, set_aside, tombstones
from rejoinder.ledger.stores.snapshot import restore
from rejoinder.ledger.stores.store import Store, new_store, pages, read_meta
from rejoinder.stream.port import Record
from rejoinder.stream.topics import of_kinds

#: Topic and partition → the next offset to read.
Ends = Mapping[tuple[str, int], int]
#: Hears how many records were read, of how many.
Told = Callable[[int, int], None]
#: How often a standing ledger that reads on meanwhile is followed.
TRIES = 5


@dataclass(frozen=True)
class Compared:
    """standing, rebuilt: digests over the same records. cut: the log no longer holds all that the standing one knows,
    so that one was cut too. records: read from the log."""

    standing: str
    rebuilt: str
    records: int
    cut: bool

    @property
    def equal(self) -> bool:
        return self.standing == self.rebuilt


class Bounded:
    """A log up to some ends. owns: nothing."""

    def __init__(self, log: Readable, ends: Ends) -> None:
        self._log = log
        self._ends = ends
        self.topics = log.topics

    def topic_id(self, topic: str) -> str:
        return self._log.topic_id(topic)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Raises LogReplaced where the log ends before."""
        there = self._log.end_offsets(topic)
        wanted = {part: end for (name, part), end in self._ends.items() if name == topic}
        if short := [part for part, end in wanted.items() if there.get(part, 0) < end]:
            raise LogReplaced(
                f"topic {topic}, partition {short[0]} ends before what the ledger has read of it; {way_out(topic)}",
                topic=topic,
            )
        return wanted

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        end = self._ends.get((topic, partition), 0)
        return [r for r in self._log.read(topic, partition, offset, max_records) if r.offset < end]


class Held:
    """The records that a ledger holds, from some offsets on, as a log. owns: them, in memory order of their places."""

    def __init__(self, store: Store, key: bytes, starts: Ends) -> None:
        self._runs: dict[tuple[str, int], list[Record]] = {}
        for topic, table in EVENTS.items():
            for page in pages(store, select(table), [table.c.tenant, table.c.event_id], size=1_000):
                self._take((rows.arrived_of(topic, row._mapping) for row in page), starts)
        for page in pages(store, select(set_aside), list(set_aside.primary_key), size=1_000):
            self._take((rows.arrived_aside(row._mapping, key) for row in page), starts)
        for run in self._runs.values():
            run.sort(key=lambda record: record.offset)

    def _take(self, found: Iterable[Arrived], starts: Ends) -> None:
        for arrived in found:
            topic, part, pos = arrived.place
            if pos >= starts.get((topic, part), 0):
                record = Record(topic, part, pos, b"", arrived.value, (), arrived.record_at / 1_000_000)
                self._runs.setdefault((topic, part), []).append(record)

    def batches(self, size: int) -> list[list[Record]]:
        everything = [record for _, run in sorted(self._runs.items()) for record in run]
        return [everything[at : at + size] for at in range(0, len(everything), size)]


def replay(
    log: Kept,
    into: Where,
    settings: LedgerSettings,
    clock: Clock | None = None,
    told: Told = lambda done, total: None,
    snapshot: Path | None = None,
) -> str:
    """Rebuilds a ledger from the whole log, or from a snapshot and what came after it, into a new store and answers its
    digest. Raises FileExistsError, FailedPrecondition where the database is in use or has no tables, and what `begun`
    raises."""
    clock = clock or SystemClock()
    store = begun(into, log, snapshot)
    try:
        ends = {
            (topic, part): end
            for topic in of_kinds(log.topics, ("erasures", *EVENTS))
            for part, end in log.end_offsets(topic).items()
        }
        _project(store, Bounded(log, ends), settings, clock, told, ends)
        return ledger_digest(store)
    finally:
        store.close()


def compare(
    standing: Store,
    log: Kept,
    into: Where,
    settings: LedgerSettings,
    clock: Clock | None = None,
    told: Told = lambda done, total: None,
    snapshot: Path | None = None,
) -> Compared:
    """Rebuilds what a standing ledger has read into a new store, and compares. The standing one may be open for reading
    only, and may go on reading: it is followed a few times. snapshot: of the standing one, to begin with; then nothing
    is cut.

    Raises FileExistsError, FailedPrecondition, LogReplaced where it is of another log, Aborted where it is written
    faster than it can be followed, and what `begun` raises.
    """
    clock = clock or SystemClock()
    rebuilt = begun(into, log, snapshot)
    try:
        ends = _checked(standing, log)
        first = _firsts(log, ends)
        cut = snapshot is None and any(at < first.get(place, at) for place, at in _known_since(standing).items())
        if cut:
            _copy(tombstones, standing, rebuilt)
        for _ in range(TRIES):
            records = _project(rebuilt, Bounded(log, ends), settings, clock, told, ends)
            _drop_alike(standing, rebuilt, settings)
            try:
                with standing.quiet():
                    digest = _cut_digest(standing, first, settings, clock) if cut else ledger_digest(standing)
                    now = _ends(standing)
            except Aborted:
                now = _ends(standing)
            else:
                if now == ends:
                    return Compared(digest, ledger_digest(rebuilt), records, cut)
            ends = now
        raise Aborted("the ledger is written faster than it can be compared; try again when it has caught up")
    finally:
        rebuilt.close()


def begun(into: Where, log: Kept, snapshot: Path | None) -> Store:
    """A new store, or one made from a snapshot that the log goes on from.

    Raises FileExistsError, FailedPrecondition where the database is in use or has no tables, LogReplaced where the
    snapshot is of another log, WindowExpired where the log has dropped what came after it.
    """
    if snapshot is None:
        return new_store(into)
    restore(snapshot, into)
    store = Store(into)
    try:
        ends = _checked(store, log)
        for topic in of_kinds(log.topics, EVENTS):
            for part, start in log.start_offsets(topic).items():
                if start > (end := ends.get((topic, part), 0)):
                    raise WindowExpired(
                        f"of {topic}, partition {part}, the log begins at {start}, after the snapshot's end at {end}: "
                        "take a newer one",
                        topic=topic,
                    )
    except BaseException:
        store.close()
        raise
    return store


def _project(store: Store, log: Readable, settings: LedgerSettings, clock: Clock, told: Told, ends: Ends) -> int:
    """Answers how many records the store has read."""
    projector = Projector(store, settings, clock)
    total = sum(ends.values())
    while True:
        done = projector.project_once(log)
        told(sum(_ends(store).values()), total)
        if done.caught_up or not done.records:
            break
    with store.reading() as connection:
        return sum(connection.execute(select(parity.c.read)).scalars())


def _checked(standing: Store, log: Readable) -> Ends:
    """What the standing ledger has read. Raises LogReplaced where it was another log."""
    with standing.reading() as connection:
        for topic, known in connection.execute(select(positions.c.topic, positions.c.topic_id)):
            # A tenant's own topic that is no more is as one of which retention has left nothing.
            if topic in log.topics and log.topic_id(topic) != known:
                raise LogReplaced(f"topic {topic} has another id than the ledger read; {way_out(topic)}", topic=topic)
    return _ends(standing)


def _ends(store: Store) -> Ends:
    with store.reading() as connection:
        return {(row.topic, row.part): row.next for row in connection.execute(select(positions))}


def _known_since(store: Store) -> Ends:
    """The first offset that a ledger has read of each partition."""
    with store.reading() as connection:
        query = select(positions).where(positions.c.topic != "erasures")
        return {(row.topic, row.part): row.first for row in connection.execute(query)}


def _firsts(log: Readable, ends: Ends) -> Ends:
    """The first offset that the log still has of each partition, the end of what was read where it has none."""
    out = {}
    for (topic, part), end in ends.items():
        found = log.read(topic, part, 0, 1) if topic in log.topics else ()
        out[topic, part] = found[0].offset if found else end
    return out


def _copy(table: Table, source: Store, target: Store) -> None:
    for page in pages(source, select(table), list(table.primary_key)):
        with target.writing() as connection:
            connection.execute(table.insert(), [dict(row._mapping) for row in page])


def _drop_alike(standing: Store, rebuilt: Store, settings: LedgerSettings) -> None:
    """What the standing ledger dropped by its retention goes from the rebuilt one too."""
    with standing.reading() as connection:
        floor = read_meta(connection, "floor")
    if floor:
        drop_before(rebuilt, settings, floor)


def _cut_digest(standing: Store, first: Ends, settings: LedgerSettings, clock: Clock) -> str:
    """The digest of a ledger of those records that the standing one holds from these offsets on."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Store(Path(folder) / "cut.db")
        try:
            projector = Projector(scratch, settings, clock)
            for table in (erasures, tombstones):
                _copy(table, standing, scratch)
            for batch in Held(standing, settings.forgetting.key, first).batches(settings.batch):
                with scratch.writing() as connection:
                    projector.apply(connection, batch, {record.topic: "" for record in batch})
            return ledger_digest(scratch)
        finally:
            scratch.close()
