"""Content-addressed snapshots of a ledger: what a ledger is rebuilt from where the log's retention has passed.

A snapshot is a folder's file `<digest of the ledger>.jsonl.gz`: one line per row of every table, sorted, with the
positions, so that projecting the log goes on from it. One is written at each round (`Ledger.window`). It holds users'
words: `SnapshotStore` forgets in it.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Table, func, insert, or_, select

from rejoinder.core.errors import DataLoss
from rejoinder.core.ids import derived_id
from rejoinder.ledger.erasure import rawcopies
from rejoinder.ledger.erasure.erase import Covers, covering
from rejoinder.ledger.erasure.forget import Forgetter, finish
from rejoinder.ledger.erasure.marks import Marks
from rejoinder.ledger.intake.settler import Settler
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.dialect import Where
from rejoinder.ledger.stores.digest import ledger_digest
from rejoinder.ledger.stores.rows import arrived_aside, compact
from rejoinder.ledger.stores.schema import (
    DAILY,
    DAY,
    EVENTS,
    attempts,
    erasures,
    interactions,
    meta,
    metadata,
    rounds,
    set_aside,
    tombstones,
)
from rejoinder.ledger.stores.store import Store, chunks, new_store, pages

SUFFIX = ".jsonl.gz"
#: What is being made, and not whole yet.
_ASIDE = ".writing-"
#: What a snapshot leaves out: what follows from other rows.
_OWN = ("attempts",)
#: Of `meta`, what retention did, and where raw copies of what was erased lie.
_KEPT = or_(*(meta.c.name.startswith(head) for head in ("floor", "dropped ", rawcopies.PREFIX)))
_ATTEMPT = [column.name for column in attempts.columns]
#: What a ledger is to forget.
_FORGOTTEN = (erasures, tombstones)
_AT, _GRACE = erasures.c.erased_at, erasures.c.grace


def write_snapshot(store: Store, folder: Path) -> Path:
    """Writes the ledger as it stands; one that was written before is not written again.

    The file appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with store.quiet():
        target = folder / f"{ledger_digest(store)}{SUFFIX}"
        if target.exists():
            return target
        handle, name = tempfile.mkstemp(dir=folder, prefix=_ASIDE)
        try:
            with os.fdopen(handle, "wb") as raw:
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as out:
                    for line in _lines(store):
                        out.write(line.encode("utf-8", "surrogatepass") + b"\n")
                raw.flush()
                os.fsync(raw.fileno())
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
    return target


def restore(snapshot: Path, into: Where) -> None:
    """Makes a ledger from a snapshot, in a new file or in a database that has the tables and no rows.

    Raises FileExistsError, FailedPrecondition where rows are there, DataLoss where the content has another digest than
    its name.
    """
    store = new_store(into)
    try:
        if store.database.by_day:
            store.make_room(_days(snapshot))
        with store.writing() as connection:
            for table, rows in _read(snapshot):
                if table is meta:
                    connection.execute(dialect.insert_or_replace(connection, meta), rows)
                else:
                    dialect.put(connection, insert(table), rows)
            connection.execute(insert(attempts).from_select(_ATTEMPT, select(*(interactions.c[n] for n in _ATTEMPT))))
            store.database.numbered(connection)
        if ledger_digest(store) != snapshot.name.removesuffix(SUFFIX):
            raise DataLoss("a snapshot's content has another digest than its name", snapshot=snapshot.name)
    finally:
        store.close()


def _days(snapshot: Path) -> Mapping[Table, set[int]]:
    """The days that events lie in, but for those stamped far ahead of their log's own time."""
    days: dict[Table, set[int]] = {table: set() for table in DAILY}
    for table, rows in _read(snapshot):
        if table in DAILY:
            days[table] |= {row["accepted_at"] // DAY for row in rows if row["accepted_at"] < row["record_at"] + DAY}
    return days


def _lines(store: Store) -> Iterator[str]:
    for table in metadata.sorted_tables:
        if table.name in _OWN:
            continue
        query = select(meta).where(_KEPT) if table is meta else select(table)
        for page in pages(store, query, list(table.primary_key)):
            for row in page:
                yield compact([table.name, {k: _out(v) for k, v in row._mapping.items()}])


def _out(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _read(snapshot: Path) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    def rows() -> Iterable[tuple[str, dict[str, Any]]]:
        with gzip.open(snapshot, "rt", encoding="utf-8", errors="surrogatepass") as lines:
            for line in lines:
                yield tuple(json.loads(line))

    for part in chunks(rows(), 5_000):
        by_table: dict[str, list[dict[str, Any]]] = {}
        for name, row in part:
            by_table.setdefault(name, []).append(row)
        for name in by_table.keys() - set(_OWN):
            found = by_table[name]
            table = metadata.tables[name]
            binary = [column.name for column in table.c if isinstance(column.type, LargeBinary)]
            for row in found:
                row.update({n: bytes.fromhex(row[n]) for n in binary if row[n] is not None})
            yield table, found


class SnapshotStore:
    """A folder of snapshots as a store that erasure reaches. owns: the folder; what a killed process left half-made in
    it goes with the next look.

    A snapshot with covered rows is replaced by one without them, under its new digest. kept: how many, the newest.
    """

    name = "snapshots"

    def __init__(self, ledger: Store, folder: Path, settings: LedgerSettings, kept: int) -> None:
        self._ledger = ledger
        self._folder = folder
        self._settings = settings
        self._kept = kept
        #: Snapshots that were looked at, with what was to be forgotten then.
        self._clean: dict[Path, tuple[int, ...]] = {}
        #: Housekeeping writes and a round's call looks: what one is making is nothing that was left half-made.
        self._one = threading.Lock()

    def write(self) -> Path:
        """A snapshot of the ledger as it stands; those before the newest go."""
        with self._one:
            made = write_snapshot(self._ledger, self._folder)
            # One that stood already is the newest again.
            os.utime(made)
            for old in self._all()[self._kept :]:
                old.unlink()
            return made

    def erase(self, covers: Covers) -> int:
        with self._one:
            for left in self._folder.glob(f"{_ASIDE}*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            # In this order: an erasure that is read now, or was since the caller asked, is looked for the next time.
            removed, wanted = 0, self._to_forget()
            covers = covering(self._ledger, self._settings.forgetting.key)
            for snapshot in self._all():
                if self._clean.get(snapshot) == wanted:
                    continue
                if any(_may_go(row, covers) for row in self._rows(snapshot)):
                    removed += self._rewritten(snapshot, wanted)
                else:
                    self._clean[snapshot] = wanted
            return removed

    def holds(self, covers: Covers) -> int:
        """Covered rows that name their user."""
        with self._one:
            return sum(_goes(row, covers) for snapshot in self._all() for row in self._rows(snapshot))

    def _all(self) -> list[Path]:
        """The newest first."""
        return sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def _to_forget(self) -> tuple[int, ...]:
        with self._ledger.reading() as connection:
            return tuple(connection.execute(select(func.count()).select_from(t)).scalar_one() for t in _FORGOTTEN)

    def _rows(self, snapshot: Path) -> Iterator[tuple[str, str, float]]:
        """Tenant, user and acceptance (seconds) of every record in a snapshot that may be somebody's."""
        for table, rows in _read(snapshot):
            if (table in EVENTS.values() and table is not rounds) or table is set_aside:
                for row in rows:
                    user = row.get("user_id", "")
                    if table is set_aside:
                        user = getattr(arrived_aside(row, self._settings.forgetting.key).event, "user_id", "")
                    yield row["tenant"], user, row["accepted_at"] / 1_000_000

    def _rewritten(self, snapshot: Path, wanted: tuple[int, ...]) -> int:
        """Forgets in a ledger made from a snapshot, and writes the snapshot of what is left."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=_ASIDE) as scratch:
            copy = Path(scratch) / "ledger.db"
            restore(snapshot, copy)
            store = Store(copy)
            try:
                removed = self._forget(store)
                left = write_snapshot(store, Path(scratch)) if removed else snapshot
            finally:
                store.close()
            when, kept = snapshot.stat().st_mtime_ns, self._folder / left.name
            if removed:
                # Under its own name again where only what no digest covers went.
                os.utime(left, ns=(when, when))
                os.replace(left, kept)
                if kept != snapshot:
                    snapshot.unlink()
        self._clean[kept] = wanted
        return removed

    def _forget(self, store: Store) -> int:
        """By the erasures and marks of the ledger as it stands. Under tickets of their own: when the snapshot is
        restored, those of the log are read again."""
        with self._ledger.reading() as connection:
            gone = connection.execute(select(erasures.c.ticket, erasures.c.subject, _AT, _GRACE)).mappings().all()
            marks = [dict(row) for row in connection.execute(select(tombstones)).mappings()]
        nowhere = {"topic": "", "part": 0, "pos": 0, "record_at": 0}
        subjects = {row["subject"] for row in gone}
        with store.writing() as connection:
            before = Marks(connection, self._settings.forgetting.key).limits(subjects)
            keep = dialect.insert_or_keep(connection, erasures)
            for row in gone:
                connection.execute(keep, [{**row, "ticket": derived_id("snapshot", row["ticket"]), **nowhere}])
            if marks:
                connection.execute(dialect.insert_or_keep(connection, tombstones), marks)
            settler = Settler(connection, self._settings)
            forgetter = Forgetter(connection, settler, self._settings.forgetting)
            # Those that it had forgotten already cost a scan each, and leave nothing to find but what names no user.
            forgetter.apply({s for s, limit in settler.marks.limits(subjects).items() if before.get(s) != limit}, 0)
            forgetter.again()
            finish(connection, settler, self._settings.rules)
            return len(settler.remains)


def _goes(row: tuple[str, str, float], covers: Covers) -> bool:
    tenant, user_id, accepted_at = row
    return bool(user_id) and covers(tenant, user_id, accepted_at)


def _may_go(row: tuple[str, str, float], covers: Covers) -> bool:
    """One that names nobody may be about something erased."""
    return not row[1] or _goes(row, covers)
