"""The ledger's store: one owner, writing transactions, short reads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, inspect, or_, select, update
from sqlalchemy.exc import DBAPIError

from rejoinder.core.errors import Aborted, FailedPrecondition, NotFound
from rejoinder.ledger.erasure import owed
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.dialect import Database, Where
from rejoinder.ledger.stores.schema import (
    COMPATIBLE,
    REVISION,
    SCHEMA_VERSION,
    meta,
    metadata,
    positions,
    revision,
    tombstones,
)

T = TypeVar("T")
#: Rows of one page: its transaction stays far below the second that a reader may hold one.
PAGE = 5_000


def chunks(items: Iterable[T], size: int = dialect.IN_LIMIT) -> Iterator[list[T]]:
    """Lists that fit an `IN (…)`."""
    pool = iter(items)
    while part := list(islice(pool, size)):
        yield part


class Store:
    """owns: the lock and the writing connection of one ledger (or, read-only, nothing but the way to it).

    One thread writes at a time; readers open their own connection and see the last commit. Raises StoreOwned,
    StoreUnavailable, NotFound where there is nothing to read, FailedPrecondition where the tables are newer than this
    program knows, or older than it needs; those of a file are brought up by whoever opens it to write.
    """

    def __init__(self, where: Where, *, read_only: bool = False) -> None:
        if read_only and isinstance(where, Path) and not where.exists():
            raise NotFound(f"there is no ledger at {where}", path=where)
        self.where = where
        self.database = dialect.open_database(where)
        self._lock = None if read_only else self.database.own()
        self._engine = None if read_only else self.database.writer()
        self._readers = self.database.reader()
        self._writing = threading.RLock()
        try:
            self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        with self._meaning(), (self._engine or self._readers).begin() as connection:
            if self._engine is not None and self.database.makes_itself:
                self._bring_up(connection)
            check(connection, self.database)

    def _bring_up(self, connection: Connection) -> None:
        """The tables of a file: nobody else uses it, so whoever opens it to write makes them or brings them up."""
        found = version(connection)
        if not found:
            make_tables(connection)
        elif found < SCHEMA_VERSION:
            # Here, because it takes a third of a second to import and is needed once in a file's life.
            from rejoinder.ledger.stores.migrate import bring_up

            bring_up(connection, self.database)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One writing transaction: all or nothing."""
        if self._engine is None:
            raise FailedPrecondition("this ledger was opened for reading")
        with self._writing, self._meaning(), self._engine.begin() as connection:
            # First of all: on a shared database it makes writers wait for one another.
            connection.execute(update(meta).where(meta.c.name == "commits").values(value=meta.c.value + 1))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the last commit; keep it short (≤ 1 s)."""
        with self._meaning(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            meaning = self.database.meaning(error)
            if meaning is error:
                raise
            # Without the cause: what a database says about a row may quote it.
            raise meaning from None

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps this process from writing while several reads must agree; another process's file is watched instead:
        raises Aborted where it was written meanwhile."""
        with self._writing:
            before = self._commits()
            yield
            if self._commits() != before:
                raise Aborted("the ledger was written while it was read; try again")

    def _commits(self) -> int:
        with self.reading() as connection:
            return read_meta(connection, "commits")

    def make_room(self, days: Mapping[Table, set[int]]) -> None:
        """Makes partitions for events of these days, each in a short transaction of its own."""
        self.database.prepare(self.writing, days)

    def shrink(self) -> None:
        """Makes sure that what was erased lies in no file of the store, a few days at a time (see Database.shrink).
        Raises Aborted where a reader keeps a day: it stays noted, behind the others."""
        with self.reading() as connection:
            notes = owed.some(connection, owed.AT_ONCE if self.database.by_day else None)
        if not notes or self._engine is None:
            return
        try:
            with self._writing, self._meaning():
                left = self.database.shrink(self._engine, owed.days_of(notes))
        except Aborted:
            with self.writing() as connection:
                owed.put_back(connection, notes)
            raise
        with self.writing() as connection:
            owed.strike(connection, notes)
            owed.leave(connection, left)

    def look_again(self) -> None:
        """Has days be tried again that were too large to be written anew: they may be dropped by now, or the limit
        raised."""
        with self.reading() as connection:
            if not owed.left(connection):
                return
        with self.writing() as connection:
            owed.look_again(connection, read_meta(connection, "floor"))

    def shrunk(self) -> bool:
        """Whether no file of the store may still hold what was erased."""
        with self.reading() as connection:
            return not owed.some(connection, 1) and not owed.left(connection)

    def close(self) -> None:
        """Idempotent."""
        self._readers.dispose()
        if self._engine is not None:
            self._engine.dispose()
        if self._lock is not None:
            self._lock.close()


def new_store(where: Where) -> Store:
    """A store without rows: a new file, or a database that was migrated and not used yet.

    Raises FileExistsError, FailedPrecondition.
    """
    if isinstance(where, Path) and where.exists():
        raise FileExistsError(where)
    store = Store(where)
    try:
        with store.reading() as connection:
            refuse_used(connection, store.database)
    except BaseException:
        store.close()
        raise
    return store


def refuse_used(connection: Connection, database: Database) -> None:
    """Raises FailedPrecondition where records were read into these tables, or marks of erasures copied."""
    for table in (positions, tombstones):
        if connection.execute(select(table).limit(1)).first():
            raise FailedPrecondition(f"{database.name} holds a ledger already")


def version(connection: Connection) -> int:
    """Of the tables; 0 where there are none."""
    return read_meta(connection, "schema_version") if inspect(connection).has_table(meta.name) else 0


def check(connection: Connection, database: Database) -> None:
    """Raises FailedPrecondition where the tables are older than this program needs, or newer than it can work on."""
    found = version(connection)
    if found < SCHEMA_VERSION:
        raise FailedPrecondition(
            f"the ledger in {database.name} {f'has schema {found}' if found else 'has no tables yet'}, this "
            f"program needs {SCHEMA_VERSION}; run: {database.migrate_command}",
            found=found,
            needed=SCHEMA_VERSION,
        )
    compatible = read_meta(connection, "compatible")
    if compatible > SCHEMA_VERSION:
        raise FailedPrecondition(
            f"the ledger in {database.name} was migrated to schema {found}, which needs a program of schema "
            f"{compatible} at least; this one has {SCHEMA_VERSION}: install a newer one",
            found=found,
            needed=SCHEMA_VERSION,
        )


def make_tables(connection: Connection) -> None:
    """What all migrations make together, at once: for a new file (a test holds the two equal)."""
    metadata.create_all(connection)
    revision.create(connection)
    connection.execute(revision.insert(), [{"version_num": REVISION}])
    values = {"schema_version": SCHEMA_VERSION, "compatible": COMPATIBLE, "commits": 0, "floor": 0}
    connection.execute(meta.insert(), [{"name": name, "value": value} for name, value in values.items()])


def read_meta(connection: Connection, name: str) -> int:
    return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar() or 0


def pages(
    store: Store, statement: Select[Any], keys: Sequence[ColumnElement[Any]], size: int = PAGE
) -> Iterator[Sequence[Any]]:
    """The rows of a statement in the order of `keys` (unique, selected by the statement), page by page, each in its own
    short transaction. Rows written meanwhile may or may not be seen."""
    last: Sequence[Any] | None = None
    while True:
        page = statement.order_by(*keys).limit(size)
        if last is not None:
            page = page.where(_after(keys, last))
        with store.reading() as connection:
            rows = connection.execute(page).all()
        if rows:
            yield rows
        if len(rows) < size:
            return
        last = [rows[-1]._mapping[key] for key in keys]


def _after(keys: Sequence[ColumnElement[Any]], last: Sequence[Any]) -> ColumnElement[bool]:
    """Row-wise `keys > last`, spelled out for databases without row values."""
    return or_(
        *(and_(*(k == v for k, v in zip(keys[:i], last[:i], strict=True)), keys[i] > last[i]) for i in range(len(keys)))
    )


def find(
    connection: Connection,
    table: Table,
    tenant: str,
    column: ColumnElement[Any],
    values: Iterable[Any],
    *also: ColumnElement[bool],
    columns: Sequence[ColumnElement[Any]] = (),
) -> list[Mapping[str, Any]]:
    """Rows of a tenant whose column is one of the values, as mappings. columns: all of the table by default."""
    out: list[Mapping[str, Any]] = []
    for part in chunks(sorted(set(values))):
        query = select(*(columns or table.c)).where(table.c.tenant == tenant, column.in_(part), *also)
        out += dialect.named(connection.execute(query))
    return out
