"""`Ledger`: the room's facade, for a process of its own, for `rejoinder up`, and for the offline commands."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType

import numpy as np

from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.errors import Aborted
from rejoinder.core.types import EvidenceReference
from rejoinder.ledger.erasure import erase
from rejoinder.ledger.intake.projector import Projected, Projector, Readable
from rejoinder.ledger.reading import answers, queries, trace, windows
from rejoinder.ledger.reading.cut import Cut, cut_here
from rejoinder.ledger.reading.evidence import NumberedEvidence, evidence_for, evidence_of, note_reader
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import retention, rows, snapshot
from rejoinder.ledger.stores.dialect import Where
from rejoinder.ledger.stores.digest import audit, ledger_digest
from rejoinder.ledger.stores.schema import DAILY, DAY
from rejoinder.ledger.stores.store import Store

#: After a reader was in the way of housekeeping, seconds.
KEEP_AGAIN_S = 60.0


class Ledger:
    """One ledger. owns: the store (and with it the right to write).

    where: a SQLite file, or PostgreSQL. Raises StoreOwned where a living process owns it, StoreUnavailable, and
    FailedPrecondition where its tables must be migrated first. `project*` are for one thread at a time; everything else
    may be called from any thread meanwhile. others: stores beyond the ledger that erasure must reach. seed: of the
    bootstrap, so that the same ledger gives the same intervals. Usage::

        with Ledger(Path("ledger.db"), LedgerSettings(Forgetting(key))) as ledger:
            ledger.project(log)
            by_version = ledger.satisfaction("default", group_by="version")
            window = ledger.window("assist", 1, "assist", ledger.cut())
    """

    def __init__(
        self,
        where: Where,
        settings: LedgerSettings,
        clock: Clock | None = None,
        others: Sequence[erase.ErasableStore] = (),
        seed: int = 0,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.store = Store(where)
        self._snapshots = None
        if settings.snapshots is not None:
            self._snapshots = snapshot.SnapshotStore(self.store, settings.snapshots, settings, settings.snapshots_kept)
            others = (*others, self._snapshots)
        self._eraser = erase.Eraser(self.store, settings.forgetting, others, self.clock)
        self._snapshot_due = False
        self._finishing = threading.Lock()
        self._keeping = threading.Lock()
        self._kept_at: int | None = None
        self._keep_again = -math.inf
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

    def versions(self, tenant: str) -> Sequence[queries.VersionRow]:
        """Satisfaction of every version, over time, and why its users were dissatisfied."""
        return queries.versions(self.store, tenant, np.random.default_rng(self._seed))

    def joining(self, tenant: str | None = None) -> queries.Joining:
        """Join rate, unlinked by cause, parked, orphaned; all tenants when none is named."""
        return queries.joining(self.store, self.settings.rules, tenant)

    def parity(self) -> Sequence[queries.ParityRow]:
        """read = stored + duplicate + conflict + dead_lettered + erased + expired, by topic and partition."""
        return queries.parity_rows(self.store)

    def trace(self, tenant: str, name: str) -> Sequence[trace.TraceNode]:
        """Everything behind and after an interaction, event, version, round or ticket. Raises NotFound."""
        return trace.trace(self.store, self.settings, tenant, name, self.clock.now())

    def answers(self, wanted: answers.Wanted) -> tuple[Sequence[answers.Listed], str]:
        """Answers with users' words, newest first, and the place behind the page; see answers.py."""
        return answers.listed(self.store, wanted)

    def erase(self, tenant: str, user_id: str, append: erase.Append) -> erase.Ticket:
        """Asks for a user to be forgotten: on return the log has it, the next `project_once` takes it out here."""
        return erase.request(self.store, self.settings.forgetting, tenant, user_id, self.clock.now(), append)

    def finish_erasures(self, log: Readable, *, now: bool = True) -> Mapping[str, str]:
        """Looks at the other stores that are not done, one caller at a time; answers those that failed, with the
        error's class. now: False lets a look wait that was taken not long ago."""
        with self._finishing:
            return self._eraser.finish(log, now=now)

    def keep_house(self) -> None:
        """Writes anew what still holds erased words, and the snapshot of a round that was cut; makes room for tomorrow
        and drops what is too old, once a day however often it is asked. Raises Aborted where a reader keeps a day or no
        snapshot can be written: it is tried again KEEP_AGAIN_S later."""
        with self._keeping:
            if self.clock.monotonic() < self._keep_again:
                return
            try:
                self._keep_days()
                self.store.shrink()
                if self._snapshot_due and self._snapshots is not None:
                    _write(self._snapshots)
                    self._snapshot_due = False
            except Aborted:
                self._keep_again = self.clock.monotonic() + KEEP_AGAIN_S
                raise

    def _keep_days(self) -> None:
        today = rows.micros(self.clock.now()) // DAY
        if self._kept_at != today:
            self.store.make_room({table: {today, today + 1} for table in DAILY})
            retention.retain(self.store, self.settings)
            self.store.look_again()
            self._kept_at = today

    def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[NumberedEvidence]:
        """Joined feedback after what this reader has acknowledged, in the order of joining; see evidence.py."""
        return evidence_for(self.store, reader, acknowledged, limit)

    def referenced(self, reader: str, references: Sequence[EvidenceReference]) -> Iterator[NumberedEvidence]:
        """The pieces behind references that a group was given on the log, a page read at a time; see evidence.py."""
        note_reader(self.store, reader)
        return evidence_of(self.store, references)

    def cut(self) -> Cut:
        """The cut at what this ledger has read."""
        with self.store.reading() as connection:
            return cut_here(connection)

    def window(
        self, loop: str, number: int, policy: str, cut: Cut, leaving: windows.Leaving | None = None
    ) -> windows.Window:
        """The evidence since the loop's window before; see windows.build. policy: "" for all. Housekeeping writes the
        snapshot that goes with it."""
        built = windows.build(self.store, self.settings, loop, number, policy, cut, leaving)
        self._snapshot_due = self._snapshots is not None
        return built

    def preview(self, loop: str, policy: str, leaving: windows.Leaving | None = None) -> windows.Window:
        """The window that would be cut now, recorded nowhere."""
        return windows.preview(self.store, self.settings, loop, policy, self.cut(), leaving or windows.Leaving())

    def verify_window(self, loop: str, number: int) -> windows.Verified:
        """Holds a recorded window against its manifest and this ledger. Raises NotFound."""
        return windows.verify(self.store, self.settings, loop, number)

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


def _write(snapshots: snapshot.SnapshotStore) -> None:
    try:
        snapshots.write()
    except OSError as error:
        # A full disk must not end the projector: erasures go by it.
        raise Aborted(f"no snapshot could be written ({type(error).__name__}); it is tried again") from None
