"""What the ledger asks of a database, and the statements that differ between the two: a SQLite file (sqlite.py) for one
machine, PostgreSQL (postgres.py) beyond it. No other file of the room knows which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import (
    URL,
    Column,
    ColumnElement,
    Connection,
    Engine,
    Insert,
    Result,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    column,
    func,
    literal_column,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from rejoinder.core.errors import BadSettings

DRIVER = "postgresql+psycopg"
#: Values of one `IN (…)` list; SQLite takes 32,766 parameters a statement, PostgreSQL 65,535.
IN_LIMIT = 900


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL database. url: `postgresql+psycopg://user@host:port/name`, without a password; that is the first
    line of password_file, read again for every connection. wait_s: how long a writer waits for the owner before it.
    rewrite_bytes: the largest table, or day of one, that is written anew after an erasure, while its readers wait."""

    url: str
    password_file: Path | None = None
    wait_s: float = field(default=30.0, compare=False)
    rewrite_bytes: int = field(default=256 << 20, compare=False)


#: Begins a writing transaction.
Writing = Callable[[], AbstractContextManager[Connection]]
#: Where a ledger lies.
Where = Path | Postgres


def address(url: str) -> URL:
    """The parsed address. Raises BadSettings, without repeating it, for one that is none or holds a password."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadSettings("store.url is no address; postgresql+psycopg://user@host:5432/name is one") from None
    if parsed.drivername not in (DRIVER, "postgresql") or not parsed.database:
        raise BadSettings("store.url must be like postgresql+psycopg://user@host:5432/name")
    if parsed.password is not None or "password" in parsed.query:
        raise BadSettings("store.url must hold no password: write it into a file and name it in store.password_file")
    return parsed.set(drivername=DRIVER)


def where_of(text: str, password_file: Path | None = None) -> Where:
    """A file or an address, as a person writes it."""
    return Postgres(text, password_file) if "://" in text else Path(text)


class Database(Protocol):
    """One database. owns: nothing until it is asked for engines."""

    #: What a person runs where the tables are too old.
    migrate_command: str
    #: Whether the first to own an empty one makes its tables; else only a migration does.
    makes_itself: bool
    #: Whether days lie in files of their own: then they are made beforehand, and written anew by housekeeping.
    by_day: bool
    #: Whether its server keeps what was deleted for a while, in a log of its own that only its operator reaches.
    keeps_a_log: bool

    @property
    def name(self) -> str:
        """For people: a path, or host, port and database."""

    def own(self) -> Any:
        """Takes the ledger for this process, until what it answers is closed. Raises StoreOwned."""

    def writer(self) -> Engine:
        """One connection, whose transactions exclude those of every other writer."""

    def reader(self) -> Engine:
        """A connection per reader, read-only; a transaction is one snapshot."""

    def migrating(self) -> AbstractContextManager[Connection]:
        """One transaction that makes or changes tables, beside no other of its kind."""

    def alone(self, connection: Connection) -> None:
        """Keeps owners out of such a transaction until its end. Raises StoreOwned where one is there."""

    def prepare(self, writing: Writing, days: Mapping[Table, set[int]]) -> None:
        """Makes room in event tables for events of these days (days since the epoch), where nobody is in the way."""

    def forget_days(self, connection: Connection, table: Table, floor: int) -> None:
        """Takes the events out that were accepted before the start of a day (microseconds)."""

    def numbered(self, connection: Connection) -> None:
        """Rows with numbers of their own were inserted: the next number comes after them."""

    def meaning(self, error: DBAPIError) -> Exception:
        """The error that a failure of the database is for callers, or the failure itself."""

    def shrink(self, engine: Engine, days: Mapping[Table, set[int]]) -> Mapping[Table, set[int]]:
        """Makes sure that what was deleted from these days of the event tables, and what was set aside, lies in none of
        its files; answers the days of which some may, as they lie in tables that are too large for it. Raises Aborted,
        or what means it, where a reader is in the way of some of it."""


def begins(name: Column[str], head: str) -> ColumnElement[bool]:
    """Whether a text of an index begins so, in ASCII; by the index, where LIKE reads every row of a SQLite table."""
    return and_(name >= head, name < head[:-1] + chr(ord(head[-1]) + 1))


def by_order(connection: Connection, named: Column[str]) -> ColumnElement[str]:
    """The column, for a condition that is no reason for SQLite to leave the index of the order that is asked for;
    PostgreSQL judges by its statistics."""
    if connection.dialect.name == "postgresql":
        return named
    return literal_column(f"+{named.table.name}.{named.name}", Text)


def open_database(where: Where) -> Database:
    """Connects to nothing yet. Raises BadSettings for an address that is none."""
    if isinstance(where, Postgres):
        from rejoinder.ledger.stores.postgres import PostgresDatabase

        return PostgresDatabase(where)
    from rejoinder.ledger.stores.sqlite import SqliteDatabase

    return SqliteDatabase(where)


def named(found: Result[Any]) -> Sequence[Mapping[str, Any]]:
    """The rows by the names of their columns: SQLAlchemy's type lets columns be their keys as well."""
    rows: Sequence[Mapping[Any, Any]] = found.mappings().all()
    return rows


def put(connection: Connection, statement: Insert, rows: Sequence[Mapping[str, Any]]) -> None:
    """Executes an insert of many rows, all with the same columns, as one statement.

    In PostgreSQL each column goes as one array: the text of the statement stays short however many rows there are, and
    reading a long one costs the driver more than the server needs to insert it (LOG.md).
    """
    if connection.dialect.name != "postgresql":
        connection.execute(statement, rows)
    elif rows:
        names = tuple(rows[0])
        unnested = statement.from_select(names, _unnested(statement.table, names))
        connection.execute(unnested, {f"all_{name}": [row[name] for row in rows] for name in names})


@cache
def _unnested(table: Table, names: tuple[str, ...]) -> Select[Any]:
    arrays = [bindparam(f"all_{name}", type_=postgresql.ARRAY(table.c[name].type)) for name in names]
    rows = func.unnest(*arrays).table_valued(*(column(name, table.c[name].type) for name in names)).render_derived()
    return select(*(rows.c[name] for name in names))


def _insert(connection: Connection, table: Table) -> Any:
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)


def insert_or_keep(connection: Connection, table: Table) -> Insert:
    """An insert that leaves an existing row of the same primary key as it is."""
    return _insert(connection, table).on_conflict_do_nothing()


def insert_or_replace(connection: Connection, table: Table) -> Insert:
    """An insert that overwrites the other columns of an existing row of the same primary key."""
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    values = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)
