"""`Ledger`: the room's facade, for a process of its own, for `rejoinder up`, and for the offline commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.ledger import erase, queries, snapshot, trace, windows
from rejoinder.ledger.cut import Cut, cut_here
from rejoinder.ledger.digest import audit, ledger_digest
from rejoinder.ledger.evidence import NumberedEvidence, evidence_for
from rejoinder.ledger.projector import Projected, Projector, Readable
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.store import Store


class Ledger:
    """One ledger file. owns: the store (and with it the file's lock).

    Raises StoreOwned where a living process owns the file. `project*` are for one thread at a time; everything else
    may be called from any thread meanwhile. others: stores beyond the ledger that erasure must reach. seed: of the
    bootstrap, so that the same ledger gives the same intervals. Usage::

        with Ledger(Path("ledger.db"), LedgerSettings(Forgetting(key))) as ledger:
            ledger.project(log)
            rows = ledger.satisfaction("default", group_by="version")
            window = ledger.window("assist", 1, "assist", ledger.cut())
    """

    def __init__(
        self,
        path: Path,
        settings: LedgerSettings,
        clock: Clock | None = None,
        others: Sequence[erase.ErasableStore] = (),
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.store = Store(path)
        self._others = others
        self._finishing = threading.Lock()
        self._seed = seed
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

    def satisfaction(
        self,
        tenant: str,
        group_by: str = "",
        since: float | None = None,
        until: float | None = None,
        leave_out_crossed: bool = False,
    ) -> Sequence[queries.SatisfactionRow]:
        """Satisfaction by "" (all) | version | arm | reason | extractor | day | source. Raises UnknownRow."""
        rng = np.random.default_rng(self._seed)
        return queries.satisfaction(self.store, tenant, rng, group_by, since, until, leave_out_crossed)

    def joining(self, tenant: str | None = None) -> queries.Joining:
        """Join rate, unlinked by cause, parked, orphaned; all tenants when none is named."""
        return queries.joining(self.store, self.settings.rules, tenant)

    def parity(self) -> Sequence[queries.ParityRow]:
        """read = stored + duplicate + conflict + dead_lettered + erased + expired, by topic and partition."""
        return queries.parity_rows(self.store)

    def trace(self, tenant: str, name: str) -> Sequence[trace.TraceNode]:
        """Everything behind and after an interaction, event, version, round or ticket. Raises NotFound."""
        return trace.trace(self.store, self.settings, tenant, name)

    def erase(self, tenant: str, user_id: str, append: erase.Append) -> erase.Ticket:
        """Asks for a user to be forgotten: on return the log has it, the next `project_once` takes it out here."""
        return erase.request(self.store, self.settings.forgetting, tenant, user_id, self.clock.now(), append)

    def finish_erasures(self) -> Mapping[str, str]:
        """Runs the other stores that are not done, one caller at a time; answers those that failed, with the error's
        class."""
        with self._finishing:
            return erase.finish(self.store, self.settings.forgetting, self._others, self.clock.now())

    def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[NumberedEvidence]:
        """Joined feedback after what this reader has acknowledged, in the order of joining; see evidence.py."""
        return evidence_for(self.store, reader, acknowledged, limit)

    def cut(self) -> Cut:
        """The cut at what this ledger has read."""
        with self.store.reading() as connection:
            return cut_here(connection)

    def window(
        self, loop: str, number: int, policy: str, cut: Cut, leaving: windows.Leaving | None = None
    ) -> windows.Window:
        """The evidence since the loop's window before; see windows.build. policy: "" for all."""
        return windows.build(self.store, self.settings, loop, number, policy, cut, leaving)

    def preview(self, loop: str, policy: str, leaving: windows.Leaving | None = None) -> windows.Window:
        """The window that would be cut now, recorded nowhere."""
        return windows.preview(self.store, self.settings, loop, policy, self.cut(), leaving or windows.Leaving())

    def verify_window(self, loop: str, number: int) -> windows.Verified:
        """Holds a recorded window against its manifest and this ledger. Raises NotFound."""
        return windows.verify(self.store, self.settings, loop, number)

    def snapshot(self, folder: Path) -> Path:
        """Writes a content-addressed snapshot and answers its path."""
        return snapshot.write_snapshot(self.store, folder)

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
