"""The ledger in a SQLite file: one process owns it, others read beside it."""

from __future__ import annotations

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from rejoinder.core.errors import Aborted, BadFile, StoreOwned
from rejoinder.ledger.stores.dialect import Writing


class SqliteDatabase:
    """owns: nothing; what it makes is closed by whoever asked for it."""

    makes_itself = True
    by_day = False
    keeps_a_log = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.migrate_command = f"rejoinder ledger migrate --store {shlex.quote(str(path))}"

    @property
    def name(self) -> str:
        return str(self.path)

    def own(self) -> TextIO:
        """The file's lock, held for the life of the returned file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(f"{self.path}.lock", "a+")  # noqa: SIM115 - held open on purpose: closing it gives the lock back
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

    def writer(self) -> Engine:
        """Every transaction `BEGIN IMMEDIATE`, in WAL with synchronous=NORMAL.

        A power cut may take the last commits; the positions go with them, so the projector reads those records again.
        """
        arguments = {"check_same_thread": False}
        engine = create_engine(
            f"sqlite:///{self.path}", poolclass=StaticPool, hide_parameters=True, connect_args=arguments
        )
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def reader(self) -> Engine:
        engine = create_engine(f"sqlite:///file:{self.path}?mode=ro&uri=true", poolclass=NullPool, hide_parameters=True)
        event.listen(engine, "connect", _prepare_reader)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """As the file's owner. Raises StoreOwned."""
        with closing(self.own()):
            engine = self.writer()
            try:
                with engine.begin() as connection:
                    yield connection
            except DBAPIError as error:
                raise self.meaning(error) from None
            finally:
                engine.dispose()

    def alone(self, connection: Connection) -> None:
        """The owner's lock is held already."""

    def prepare(self, writing: Writing, days: Mapping[Table, set[int]]) -> None:
        """A file has no partitions."""

    def forget_days(self, connection: Connection, table: Table, floor: int) -> None:
        connection.execute(table.delete().where(table.c.accepted_at < floor))

    def numbered(self, connection: Connection) -> None:
        """SQLite goes on after the greatest number by itself."""

    def meaning(self, error: DBAPIError) -> Exception:
        if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_NOTADB":
            return BadFile(f"{self.path} is no ledger", file=self.path.name)
        return error

    def shrink(self, engine: Engine, days: Mapping[Table, set[int]]) -> Mapping[Table, set[int]]:
        """Moves the write-ahead log into the file and empties it; deleted pages are overwritten (secure_delete)."""
        with engine.connect() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            done = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if done[0]:
            raise Aborted("a reader keeps the write-ahead log; try again")
        return {}


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
