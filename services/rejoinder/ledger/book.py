"""`Ledger`: the room's facade, for a process of its own, for `rejoinder up`, and for the offline commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.ledger.digest import audit, ledger_digest
from rejoinder.ledger.projector import Projected, Projector, Readable
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.store import Store


class Ledger:
    """One ledger file. owns: the store (and with it the file's lock).

    Raises StoreOwned where a living process owns the file. `project*` are for one thread at a time; everything else
    may be called from any thread meanwhile. Usage::

        with Ledger(Path("ledger.db"), LedgerSettings(Forgetting(key))) as ledger:
            ledger.project(log)
            ledger.satisfaction("default", group_by="version")
    """

    def __init__(self, path: Path, settings: LedgerSettings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.store = Store(path)
        self._projector = Projector(self.store, settings, self.clock)

    def project_once(self, log: Readable, max_records: int | None = None) -> Projected:
        """Reads the next batch of the log (erasures to their end first). Raises LogReplaced."""
        return self._projector.project_once(log, max_records)

    def project(self, log: Readable, until: Callable[[], bool] = lambda: False) -> int:
        """Reads the log to its end, or until told to stop; answers how many records it read."""
        total = 0
        while not until():
            done = self.project_once(log)
            total += done.records
            if done.caught_up or not done.records:
                break
        return total

    def digest(self) -> str:
        """SHA-256 (hex) of what the ledger holds; equal for every ledger of the same records."""
        return ledger_digest(self.store)

    def audit(self) -> list[tuple[str, str, str]]:
        """Topic, tenant and id of rows whose content was altered since they were stored."""
        return list(audit(self.store))

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def replay(log: Readable, into: Path, settings: LedgerSettings, clock: Clock | None = None) -> str:
    """Rebuilds a ledger from the log into a new file and answers its digest. Raises FileExistsError."""
    if into.exists():
        raise FileExistsError(into)
    with Ledger(into, settings, clock) as ledger:
        ledger.project(log)
        return ledger.digest()
