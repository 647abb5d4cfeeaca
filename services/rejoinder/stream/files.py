"""The SQLite file of a log: its schema, how it is opened, and what its errors mean.

One connection writes (the owner's); it alone checkpoints. Readers, in this process or beside it, open the file
read-only and hold no transaction longer than one SELECT of bounded size.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import BadFile, DataLoss, DiskFull, LogUnavailable, RejoinderError, StoreOwned

#: "RJLG": tells a log from any other SQLite file.
_APPLICATION_ID = 0x524A4C47
_VERSION = 1

#: A record's rowid is slot << OFFSET_BITS | offset, so one partition is one range of one B-tree.
OFFSET_BITS = 40

_SCHEMA = """
CREATE TABLE topics (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
-- start: first kept offset. next: the offset the next record gets; it never falls.
CREATE TABLE slots (slot INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,
  start INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, partition));
-- timestamp: seconds since the epoch. headers: JSON pairs, bytes as Latin-1.
CREATE TABLE records (at INTEGER PRIMARY KEY, timestamp REAL NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
  headers TEXT NOT NULL);
-- The first copy of each event: `at` is where it lies.
CREATE TABLE seen (tenant TEXT NOT NULL, event_id TEXT NOT NULL, digest TEXT NOT NULL, at INTEGER NOT NULL,
  expires REAL NOT NULL, PRIMARY KEY (tenant, event_id)) WITHOUT ROWID;
CREATE INDEX seen_expires ON seen (expires);
CREATE TABLE offsets (grp TEXT NOT NULL, slot INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (grp, slot))
  WITHOUT ROWID;
CREATE TABLE epochs (transactional_id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
"""


def translated(error: sqlite3.Error, path: str) -> RejoinderError:
    """The error of the port that an SQLite error is."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    primary = code & 0xFF
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull("no room for the log", retry_after_s=5.0, path=path)
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DataLoss(f"the log file is damaged or is no log ({name})", path=path, code=name)
    return LogUnavailable(f"the log file cannot be used ({name})", retry_after_s=1.0, path=path, code=name)


class OwnerLock:
    """The right to write a log file, held by one process. owns: the lock file beside it.

    The lock is the operating system's (flock), so it ends with the process however that ends.
    """

    def __init__(self, path: str) -> None:
        name = os.path.realpath(path) + ".owner"
        self._fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreOwned(f"process {pid} owns the log {path}", path=path, pid=pid) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def file_identity(path: str) -> tuple[int, int]:
    """Which file lies at the path: (device, inode); (0, 0) when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def open_writer(path: str, busy_timeout_s: float, max_bytes: int = 0) -> sqlite3.Connection:
    """The owner's connection, the file made when it is new. WAL with synchronous=FULL: a commit is an fsync.

    max_bytes: the size beyond which the file is full, 0 for none.

    Raises BadFile for another program's file, DataLoss for a damaged one, LogUnavailable when WAL is not to be had.
    """
    new = not os.path.exists(path)
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)
        if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
            raise LogUnavailable("the file system does not support SQLite's WAL", path=path)
        connection.execute("PRAGMA synchronous=FULL")
        # What retention takes out holds users' words: its bytes are overwritten.
        connection.execute("PRAGMA secure_delete=ON")
        _prepare(connection, path)
        if max_bytes:
            page = connection.execute("PRAGMA page_size").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count={max(1, max_bytes // page)}")
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise translated(error, path) from error
    except RejoinderError:
        if connection is not None:
            connection.close()
        raise
    if new:
        # The new file's name must survive a power cut as its content does.
        sync_folder(Path(path).resolve().parent)
    return connection


def open_reader(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A read-only connection; it never checkpoints. Raises LogUnavailable when there is no file."""
    uri = f"{Path(path).resolve().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        _recognise(connection, path)
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if empty:
        for statement in _SCHEMA.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={_VERSION}")
    connection.execute("COMMIT")
    _recognise(connection, path)


def _recognise(connection: sqlite3.Connection, path: str) -> None:
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if found != _APPLICATION_ID:
        raise BadFile("the SQLite file is no log of Rejoinder", path=path)
    if version != _VERSION:
        raise BadFile(f"the log has format {version}, this release reads {_VERSION}", path=path, version=version)
