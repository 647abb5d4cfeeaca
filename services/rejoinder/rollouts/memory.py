"""What the engine remembers between two looks and over its own death: one SQLite file, each step one transaction.

State is JSON (floats survive it bit for bit); the units that have been counted are rows, so that a step costs what it
adds. Units are digests under the rollout's salt: nobody's name lies here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rejoinder.stream.files import OwnerLock

_TABLES = (
    "CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS counted (unit TEXT PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS trail (number INTEGER PRIMARY KEY, value TEXT NOT NULL)",
)


class Memory:
    """owns: the file and its lock, and `counted`, the units of the present rollout. For one thread at a time.

    Raises StoreOwned while another living process has the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = OwnerLock(str(path))
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._file.execute("PRAGMA journal_mode=WAL")
        # A power cut must not take back what was decided: the arms table and the registry have it already.
        self._file.execute("PRAGMA synchronous=FULL")
        for statement in _TABLES:
            self._file.execute(statement)
        self.counted = {unit for (unit,) in self._file.execute("SELECT unit FROM counted")}

    def read(self, name: str) -> Any:
        """The value last written under a name, None if none was."""
        row = self._file.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def write(self, values: Mapping[str, Any], counted: Iterable[str] = (), *, fresh: bool = False) -> None:
        """All or nothing, durable on return. fresh: the units and the trail of the rollout before are forgotten."""
        added = set(counted)
        self._file.execute("BEGIN IMMEDIATE")
        try:
            if fresh:
                self._file.execute("DELETE FROM counted")
                self._file.execute("DELETE FROM trail")
            for name, value in values.items():
                self._file.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, json.dumps(value)))
            self._file.executemany("INSERT OR IGNORE INTO counted VALUES (?)", [(unit,) for unit in added])
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")
        if fresh:
            self.counted.clear()
        self.counted |= added

    def points(self) -> list[dict[str, Any]]:
        """The trail of the present rollout, oldest first."""
        return [json.loads(value) for (value,) in self._file.execute("SELECT value FROM trail ORDER BY number")]

    def last_point(self) -> dict[str, Any] | None:
        row = self._file.execute("SELECT value FROM trail ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else json.loads(row[0])

    def numbers(self) -> list[int]:
        """Of the trail's points, oldest first."""
        return [number for (number,) in self._file.execute("SELECT number FROM trail ORDER BY number")]

    def add_point(self, value: Mapping[str, Any], gone: Iterable[int] = ()) -> None:
        """Adds a point to the trail and takes others out. It waits for no disk: a power cut may take the newest, which
        only people look at."""
        self._file.execute("PRAGMA synchronous=NORMAL")
        try:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.executemany("DELETE FROM trail WHERE number = ?", [(number,) for number in gone])
            self._file.execute("INSERT INTO trail (value) VALUES (?)", (json.dumps(dict(value)),))
            self._file.execute("COMMIT")
        except BaseException:
            # SQLite may have taken it back by itself.
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise
        finally:
            self._file.execute("PRAGMA synchronous=FULL")

    def close(self) -> None:
        self._file.close()
        self._lock.release()
