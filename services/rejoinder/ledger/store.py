"""The ledger's file: one owner, writing transactions, short reads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, Table, and_, inspect, or_, select, update

from rejoinder.core.errors import Aborted, FailedPrecondition
from rejoinder.ledger import dialect
from rejoinder.ledger.schema import SCHEMA_VERSION, meta, metadata

T = TypeVar("T")
#: Rows of one page: its transaction stays far below the second that a reader may hold one.
PAGE = 5_000


def chunks(items: Iterable[T], size: int = dialect.IN_LIMIT) -> Iterator[list[T]]:
    """Lists that fit an `IN (…)`."""
    pool = iter(items)
    while part := list(islice(pool, size)):
        yield part


class Store:
    """owns: the lock and the writing connection of one ledger file (or, read-only, nothing but the path).

    One thread writes at a time; readers open their own connection and see the last commit.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._lock_file = None if read_only else dialect.own(path)
        self._engine = None if read_only else dialect.writer_engine(path)
        self._readers = dialect.reader_engine(path)
        self._writing = threading.RLock()
        if self._engine is not None:
            try:
                self._create()
            except BaseException:
                self.close()
                raise

    def _create(self) -> None:
        with self.writing() as connection:
            if not inspect(connection).has_table(meta.name):
                metadata.create_all(connection)
                connection.execute(meta.insert(), [{"name": "schema_version", "value": SCHEMA_VERSION}])
                connection.execute(meta.insert(), [{"name": "commits", "value": 0}])
            version = read_meta(connection, "schema_version")
            if version != SCHEMA_VERSION:
                raise FailedPrecondition(
                    f"the ledger has schema {version}, this program has {SCHEMA_VERSION}; rebuild it from the log: "
                    "python -m rejoinder.ledger replay",
                    found=version,
                    expected=SCHEMA_VERSION,
                )

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One writing transaction: all or nothing."""
        if self._engine is None:
            raise FailedPrecondition("this ledger was opened for reading")
        with self._writing, self._engine.begin() as connection:
            yield connection
            connection.execute(update(meta).where(meta.c.name == "commits").values(value=meta.c.value + 1))

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the last commit; keep it short (≤ 1 s)."""
        with self._readers.begin() as connection:
            yield connection

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

    def shrink(self) -> None:
        """Makes sure that what was deleted lies in no file of the store."""
        if self._engine is not None:
            with self._writing:
                dialect.shrink(self._engine)

    def close(self) -> None:
        """Idempotent."""
        self._readers.dispose()
        if self._engine is not None:
            self._engine.dispose()
        if self._lock_file is not None:
            self._lock_file.close()


def read_meta(connection: Connection, name: str) -> int:
    return connection.execute(select(meta.c.value).where(meta.c.name == name)).scalar() or 0


def pages(
    store: Store, statement: Select[Any], keys: Sequence[ColumnElement[Any]], size: int = PAGE
) -> Iterator[list[Any]]:
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
) -> list[Any]:
    """Rows of a tenant whose column is one of the values, as mappings. columns: all of the table by default."""
    out: list[Any] = []
    for part in chunks(sorted(set(values))):
        query = select(*(columns or table.c)).where(table.c.tenant == tenant, column.in_(part), *also)
        out += connection.execute(query).mappings().all()
    return out
