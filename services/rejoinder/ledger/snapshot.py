"""Content-addressed snapshots of a ledger: what a ledger is rebuilt from where the log's retention has passed.

A snapshot is a folder's file `<digest of the ledger>.jsonl.gz`: one line per row of every table, sorted, with the
positions, so that projecting the log goes on from it. It holds users' words: `SnapshotStore` forgets in it.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import LargeBinary, Table, insert, select

from rejoinder.core.errors import DataLoss
from rejoinder.core.ids import derived_id, subject_of
from rejoinder.ledger.digest import ledger_digest
from rejoinder.ledger.erase import Covers
from rejoinder.ledger.forget import Forgetter, finish
from rejoinder.ledger.rows import arrived_aside, compact
from rejoinder.ledger.schema import EVENTS, erasures, metadata, set_aside
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.settler import Settler
from rejoinder.ledger.store import Store, chunks, pages

SUFFIX = ".jsonl.gz"


def write_snapshot(store: Store, folder: Path) -> Path:
    """Writes the ledger as it stands; one that was written before is not written again.

    The file appears whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with store.quiet():
        target = folder / f"{ledger_digest(store)}{SUFFIX}"
        if target.exists():
            return target
        handle, name = tempfile.mkstemp(dir=folder, prefix=".writing-")
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


def restore(snapshot: Path, into: Path) -> None:
    """Makes a new ledger file from a snapshot. Raises FileExistsError, DataLoss where the content has another digest
    than its name."""
    if into.exists():
        raise FileExistsError(into)
    store = Store(into)
    try:
        with store.writing() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
            for table, rows in _read(snapshot):
                connection.execute(insert(table), rows)
        if ledger_digest(store) != snapshot.name.removesuffix(SUFFIX):
            raise DataLoss("a snapshot's content has another digest than its name", snapshot=snapshot.name)
    finally:
        store.close()


def _lines(store: Store) -> Iterator[str]:
    for table in metadata.sorted_tables:
        for page in pages(store, select(table), list(table.primary_key)):
            for row in page:
                yield compact([table.name, {k: _out(v) for k, v in row._mapping.items()}])


def _out(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _read(snapshot: Path) -> Iterator[tuple[Table, list[Mapping[str, Any]]]]:
    def rows() -> Iterable[tuple[str, Mapping[str, Any]]]:
        with gzip.open(snapshot, "rt", encoding="utf-8", errors="surrogatepass") as lines:
            for line in lines:
                yield tuple(json.loads(line))

    for part in chunks(rows(), 5_000):
        by_table: dict[str, list[Mapping[str, Any]]] = {}
        for name, row in part:
            by_table.setdefault(name, []).append(row)
        for name, found in by_table.items():
            table = metadata.tables[name]
            binary = [column.name for column in table.c if isinstance(column.type, LargeBinary)]
            for row in found:
                row.update({n: bytes.fromhex(row[n]) for n in binary if row[n] is not None})
            yield table, found


class SnapshotStore:
    """A folder of snapshots as a store that erasure reaches. owns: nothing; the folder is shared with the writer.

    A snapshot with covered rows is replaced by one without them, under its new digest.
    """

    name = "snapshots"

    def __init__(self, folder: Path, settings: LedgerSettings) -> None:
        self._folder = folder
        self._settings = settings

    def erase(self, covers: Covers) -> int:
        removed = 0
        for snapshot in sorted(self._folder.glob(f"*{SUFFIX}")):
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                copy = Path(scratch) / "ledger.db"
                restore(snapshot, copy)
                gone = self._forget(copy, covers)
                if gone:
                    snapshot.unlink()
            removed += gone
        return removed

    def _forget(self, copy: Path, covers: Covers) -> int:
        """Erases in a ledger made from a snapshot, and writes the snapshot of what is left."""
        store = Store(copy)
        try:
            latest: dict[str, int] = {}
            for tenant, user_id, accepted_at in _users(store, self._settings.forgetting.key):
                if covers(tenant, user_id, accepted_at / 1_000_000):
                    subject = subject_of(self._settings.forgetting.key, tenant, user_id)
                    latest[subject] = max(latest.get(subject, 0), accepted_at)
            if not latest:
                return 0
            with store.writing() as connection:
                settler = Settler(connection, self._settings)
                for subject, accepted_at in latest.items():
                    # Its own ticket: the erasure of the log, which reaches further, follows when it is restored.
                    ticket = derived_id("snapshot", subject, str(accepted_at))
                    place = {"topic": "", "part": 0, "pos": 0, "record_at": 0}
                    row = {"ticket": ticket, "subject": subject, "erased_at": accepted_at + 1, "grace": 0, **place}
                    connection.execute(insert(erasures), [row])
                forgetter = Forgetter(connection, settler, self._settings.forgetting)
                forgetter.apply(sorted(latest), 0)
                finish(connection, settler, self._settings.rules)
                removed = len(settler.remains)
            write_snapshot(store, self._folder)
            return removed
        finally:
            store.close()


def _users(store: Store, key: bytes) -> Iterator[tuple[str, str, int]]:
    """Tenant, user and acceptance (microseconds) of every record that a ledger holds."""
    for table in EVENTS.values():
        columns = [table.c[name] for name in ("tenant", "event_id", "user_id", "accepted_at")]
        for page in pages(store, select(*columns), [table.c.tenant, table.c.event_id]):
            yield from ((row.tenant, row.user_id, row.accepted_at) for row in page)
    for page in pages(store, select(set_aside), list(set_aside.primary_key)):
        for row in page:
            event = arrived_aside(row._mapping, key).event
            yield row.tenant, getattr(event, "user_id", ""), row.accepted_at
