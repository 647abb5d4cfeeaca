"""The only file that knows which database this is: engine, locks, begin modes, upserts (SQLite now)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Engine, Insert, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.pool import NullPool, StaticPool

from rejoinder.core.errors import StoreOwned

#: Values of one `IN (…)` list; SQLite takes 32,766 parameters a statement, PostgreSQL 65,535.
IN_LIMIT = 900


def writer_engine(path: Path) -> Engine:
    """One connection, every transaction `BEGIN IMMEDIATE`, in WAL with synchronous=NORMAL.

    A power cut may take the last commits; the positions go with them, so the projector reads those records again.
    """
    engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_writer)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def reader_engine(path: Path) -> Engine:
    """A connection per reader, read-only; a transaction is one snapshot."""
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", poolclass=NullPool)
    event.listen(engine, "connect", _prepare_reader)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare_writer(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "busy_timeout=5000",
        "secure_delete=ON",
        "cache_size=-65536",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_reader(connection: Any, _: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA busy_timeout=5000")


def insert_or_keep(table: Table) -> Insert:
    """An insert that leaves an existing row of the same primary key as it is."""
    return sqlite_insert(table).on_conflict_do_nothing()


def insert_or_replace(table: Table) -> Insert:
    """An insert that overwrites the other columns of an existing row of the same primary key."""
    statement = sqlite_insert(table)
    keys = {column.name for column in table.primary_key}
    values = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=values)


def shrink(engine: Engine) -> None:
    """Moves the write-ahead log into the file and empties it, so that erased bytes lie in neither."""
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def own(path: Path) -> TextIO:
    """Takes the store's lock for the life of the returned file; raises StoreOwned where a living process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = open(f"{path}.lock", "a+")  # noqa: SIM115 - held open on purpose: closing it gives the lock back
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise StoreOwned(f"process {holder} owns this ledger", pid=holder) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
