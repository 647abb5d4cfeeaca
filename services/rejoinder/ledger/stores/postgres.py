"""The ledger in PostgreSQL: one session owns the writing, held by a lock that dies with the session.

The lock is an advisory lock of the very session that writes. Whoever loses the session loses the lock with it and
cannot commit any more, so a projector that was cut off, stopped or taken over from never writes beside its successor.
A pooler between the two must pool sessions, not transactions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Table, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from rejoinder.core.errors import (
    Aborted,
    BadSettings,
    InvalidArgument,
    RejoinderError,
    StoreOwned,
    StoreUnavailable,
)
from rejoinder.ledger.stores import partitions
from rejoinder.ledger.stores.dialect import Postgres, Writing, address
from rejoinder.ledger.stores.schema import DAILY

#: Advisory locks ("rejo", n) of a database's owner and of a migration.
OWNER, MIGRATION = (0x72656A6F, 1), (0x72656A6F, 2)

#: A dead peer is noticed in some 25 s on either side; nobody keeps a transaction that does nothing; compiled plans
#: never pay for statements this short.
_SESSION = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "options": "-c idle_in_transaction_session_timeout=60000 -c jit=off -c timezone=UTC"
    " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
#: Tables that erasure empties beside the events' own.
_BESIDE = frozenset({"set_aside", "window_rows"})
#: SQLSTATE of what another attempt may mend: serialization, deadlock, lock not available.
_AGAIN = frozenset({"40001", "40P01", "55P03"})
#: SQLSTATE classes of a server that is away, full, shutting down or no longer the one that writes.
_AWAY = ("08", "53", "57")
#: SQLSTATE classes of a value that cannot be asked about: out of range, too long for an index.
_REFUSED = ("22", "54")


class PostgresDatabase:
    """owns: nothing; what it makes is closed by whoever asked for it."""

    migrate_command = "rejoinder ledger migrate"
    makes_itself = False
    by_day = True
    keeps_a_log = True

    def __init__(self, where: Postgres) -> None:
        self._where = where
        self._url = address(where.url)
        # Milliseconds; 0 would mean for ever.
        self._patience = max(1, round(where.wait_s * 1000))
        self._made: set[str] = set()

    @property
    def name(self) -> str:
        return f"{self._url.host or 'localhost'}:{self._url.port or 5432}/{self._url.database}"

    def own(self) -> None:
        """Nothing to hold here: the writing session takes the lock when it connects."""

    def writer(self) -> Engine:
        engine = self._engine(pool_size=1, max_overflow=0)
        event.listen(engine, "connect", self._take_over)
        # Many rows go in one INSERT … VALUES; the driver's own way is a statement a row.
        engine.dialect.use_insertmanyvalues_wo_returning = True
        return engine

    def reader(self) -> Engine:
        engine = self._engine(pool_size=4, max_overflow=16, pool_pre_ping=True, isolation_level="REPEATABLE READ")
        return engine.execution_options(postgresql_readonly=True)

    def _engine(self, **pool: Any) -> Engine:
        # No error may quote a parameter: it may be a user's words.
        arguments = _SESSION | {"application_name": "rejoinder-ledger"}
        engine = create_engine(self._url, poolclass=QueuePool, hide_parameters=True, connect_args=arguments, **pool)
        event.listen(engine, "do_connect", self._connect)
        return engine

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Beside a running owner, if the steps allow it; a statement waits for a table at most wait_s."""
        engine = self._engine(pool_size=1, max_overflow=0)
        try:
            with engine.begin() as connection:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:a, :b)"), dict(zip("ab", MIGRATION, strict=True))
                )
                connection.execute(text(f"SET LOCAL lock_timeout = {self._patience}"))
                yield connection
        except DBAPIError as error:
            raise self.meaning(error) from None
        finally:
            engine.dispose()

    def alone(self, connection: Connection) -> None:
        taken = text("SELECT pg_try_advisory_xact_lock(:a, :b)")
        if not connection.execute(taken, dict(zip("ab", OWNER, strict=True))).scalar():
            raise StoreOwned(f"a ledger process works on {self.name}: stop it, migrate, start it again")

    def _connect(self, dialect: Any, record: Any, args: Any, parameters: dict[str, Any]) -> Any:
        """With the password as the file has it now, so that it may be changed while we run."""
        if self._where.password_file is not None:
            parameters["password"] = _password(self._where)
        try:
            return dialect.connect(*args, **parameters)
        except psycopg.OperationalError as error:
            raise StoreUnavailable(f"{self.name} takes no connection: {_why(error)}", retry_after_s=1.0) from None

    def _take_over(self, connection: Any, _: Any) -> None:
        """Waits for the lock in the server. Raises StoreOwned where the owner keeps it."""
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {self._patience}")
            try:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", OWNER)
            except psycopg.errors.LockNotAvailable:
                cursor.execute(
                    "SELECT a.pid, a.client_addr FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                    " WHERE l.locktype = 'advisory' AND l.classid = %s AND l.objid = %s AND l.granted"
                    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                    OWNER,
                )
                pid, client = cursor.fetchone() or ("unknown", None)
                raise StoreOwned(
                    f"another process (session {pid}, from {client or 'this machine'}) owns the ledger in {self.name}",
                    pid=pid,
                ) from None
            cursor.execute("SET lock_timeout = 0")
        connection.autocommit = False

    def prepare(self, writing: Writing, days: Mapping[Table, set[int]]) -> None:
        """Where a reader keeps `…_other` for longer than a moment, the events lie there until the next time."""
        wanted = [(table, day) for table in DAILY for day in sorted(days.get(table, ()))]
        if all(partitions.partition_of(table.name, day) in self._made for table, day in wanted):
            return
        with writing() as connection:
            self._made = {name for table in DAILY for name in partitions.made(connection, table.name)}
        for table, day in wanted:
            if partitions.partition_of(table.name, day) in self._made:
                continue
            try:
                with writing() as connection:
                    partitions.make(connection, table, day)
            except Aborted:
                return

    def forget_days(self, connection: Connection, table: Table, floor: int) -> None:
        self._made.clear()
        partitions.drop(connection, table, floor)

    def numbered(self, connection: Connection) -> None:
        last = "SELECT setval(pg_get_serial_sequence('joined', 'number'), (SELECT coalesce(max(number), 0) + 1"
        connection.execute(text(f"{last} FROM joined), false)"))

    def meaning(self, error: DBAPIError) -> Exception:
        state = getattr(error.orig, "sqlstate", None) or ""
        if state in _AGAIN:
            return Aborted("the database gave up this transaction in favour of another; try again", sqlstate=state)
        gone = error.connection_invalidated or (isinstance(error.orig, psycopg.OperationalError) and not state)
        if state == "53200":
            fault = f"{self.name} is out of memory, most likely of that for locks: raise max_locks_per_transaction"
            return StoreUnavailable(fault, retry_after_s=5.0)
        if gone or state.startswith(_AWAY) or state == "25006":
            return StoreUnavailable(f"{self.name} is away ({state or 'connection lost'})", retry_after_s=0.5)
        if state.startswith(_REFUSED):
            return InvalidArgument("a value is more than the ledger's database can be asked about", sqlstate=state)
        # Without its own text, which may quote the row that it was about.
        fault = f"the ledger's database refused a statement ({state}, {type(error.orig).__name__})"
        return RejoinderError(fault, sqlstate=state)

    def shrink(self, engine: Engine, days: Mapping[Table, set[int]]) -> Mapping[Table, set[int]]:
        """Writes the partitions anew, up to `rewrite_bytes` each; larger ones are vacuumed: their bytes lie in free
        space until it is used again. What a reader keeps is passed over, and said at the end."""
        kept: DBAPIError | None = None
        large: set[str] = set()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            names = partitions.lying_in(connection, days) | _BESIDE
            for name in sorted(names):
                size = connection.execute(text("SELECT pg_total_relation_size(to_regclass(:n))"), {"n": name}).scalar()
                if size is None:
                    # Dropped since it was listed, and its bytes with it.
                    continue
                fits = size <= self._where.rewrite_bytes
                large |= set() if fits else {name}
                connection.execute(text(f"SET lock_timeout = {partitions.MOMENT_MS}"))
                try:
                    connection.execute(text(f"VACUUM {'(FULL)' if fits else ''} {name}"))
                except DBAPIError as error:
                    if getattr(error.orig, "sqlstate", None) not in _AGAIN:
                        raise
                    kept = error
                finally:
                    if not connection.invalidated:
                        connection.execute(text("SET lock_timeout = 0"))
            left: dict[Table, set[int]] = {}
            for table, wanted in days.items() if large else ():
                for day in wanted:
                    if large & (partitions.lying_in(connection, {table: {day}}) | _BESIDE):
                        left.setdefault(table, set()).add(day)
        if kept is not None:
            raise kept
        return left


def _password(where: Postgres) -> str:
    assert where.password_file is not None
    try:
        return where.password_file.read_text("utf-8").split("\n", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        raise BadSettings(f"store.password_file {where.password_file} cannot be read") from None


def _why(error: psycopg.Error) -> str:
    """The last line of what libpq says: it names host, user and database, never a password."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
