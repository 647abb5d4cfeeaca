"""A user is forgotten: the request, the stores beyond the ledger, and what stands where afterwards.

`request` appends an erasure to the log and answers with a ticket. The projector takes the user out of the ledger's own
tables in the transaction that reads it (forget.py). `Eraser` looks at the other stores until each is done, the log and
the ledger's own files among them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, func, select

from rejoinder.core import types
from rejoinder.core.clock import Clock
from rejoinder.core.ids import subject_of, uuid7
from rejoinder.ledger.erasure import rawcopies
from rejoinder.ledger.erasure.marks import Marks
from rejoinder.ledger.intake.projector import Readable
from rejoinder.ledger.settings import Forgetting
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import DEFAULT_TENANT, micros
from rejoinder.ledger.stores.schema import EVENTS, erasure_stores, erasures
from rejoinder.ledger.stores.store import Store, chunks
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import NewRecord
from rejoinder.stream.topics import of_kinds, owner_of

#: Makes one record durable on the log, or raises (LogUnavailable, …).
Append = Callable[[NewRecord], object]
#: Stores in a ticket: the log, the ledger's own files beyond its rows, and copies that nobody here can reach.
LOG, FILES, BACKUPS = rawcopies.LOG, "ledger_files", "backups"
#: Between two looks at the stores of a ticket that is not done, seconds: a late record may always come.
AGAIN_S = 60.0


class Covers(Protocol):
    """Whether a record must go. accepted_at: seconds. events: ids of events of the tenant that it was made of, which
    tell of one that names no user whether it was made of something erased."""

    def __call__(self, tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool: ...


class ErasableStore(Protocol):
    """A store beyond the ledger that holds what users said: pair sets, snapshots, spools."""

    @property
    def name(self) -> str: ...

    def erase(self, covers: Covers) -> int:
        """Removes every covered record that it can reach and answers how many; may be called again; raises where it
        cannot."""

    def holds(self, covers: Covers) -> int:
        """How many covered records lie there."""


@dataclass(frozen=True)
class Ticket:
    """Times in seconds. raw_copy_ends_at: when retention has ended the last raw copy of what the log had by then."""

    ticket: str
    erased_at: float
    raw_copy_ends_at: float


def open_ticket(connection: Connection, subject: str, now: float) -> tuple[str, float] | None:
    """The ticket of an erasure whose grace still runs, and when it began (seconds)."""
    query = (
        select(erasures.c.ticket, erasures.c.erased_at)
        .where(erasures.c.subject == subject, erasures.c.erased_at + erasures.c.grace > micros(now))
        .order_by(erasures.c.erased_at.desc())
    )
    row = connection.execute(query).first()
    return (row.ticket, row.erased_at / 1_000_000) if row else None


def request(store: Store, forgetting: Forgetting, tenant: str, user_id: str, now: float, append: Append) -> Ticket:
    """Asks for a user to be forgotten; on return the log has it. The same ticket while its grace runs."""
    subject = subject_of(forgetting.key, tenant or DEFAULT_TENANT, user_id)
    with store.reading() as connection:
        found = open_ticket(connection, subject, now)
    ticket, erased_at = found or (uuid7(now), now)
    if found is None:
        erasure = types.Erasure(subject, ticket, erased_at, forgetting.grace_s)
        append(record_of(erasure, "rejoinder/ledger"))
    over = erased_at + forgetting.grace_s
    kept_s = max(forgetting.log_retention_s, forgetting.kept_s(tenant or DEFAULT_TENANT))
    with store.reading() as connection:
        return Ticket(ticket, erased_at, max(over + kept_s, rawcopies.ends_at(connection, forgetting, subject, over)))


@dataclass(frozen=True)
class Due:
    """A ticket whose stores are not all done. over: the moment (microseconds) after which no late record arrives."""

    ticket: str
    subject: str
    over: int
    done: frozenset[str]


def covering(store: Store, key: bytes) -> Covers:
    """What the erasures that a ledger has read cover."""
    with store.reading() as connection:
        until = func.max(erasures.c.erased_at + erasures.c.grace)
        found = connection.execute(select(erasures.c.subject, until).group_by(erasures.c.subject))
        limits = {subject: moment for subject, moment in found}

    def covers(tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool:
        tenant = tenant or DEFAULT_TENANT
        if user_id:
            until = limits.get(subject_of(key, tenant, user_id))
            return until is not None and micros(accepted_at) < until
        with store.reading() as connection:
            return bool(events and limits) and Marks(connection, key).took(tenant, events)

    return covers


class Eraser:
    """Forgets in the stores beyond the ledger. owns: when it looks at each of them next; for one caller at a time.

    A store is done with a ticket once it was looked at after the grace and held nothing more; the log, once all that
    the shared topics still have came after the grace, and no copy is left that the ledger has met, wherever it lies.
    """

    def __init__(self, store: Store, forgetting: Forgetting, stores: Sequence[ErasableStore], clock: Clock) -> None:
        self._store = store
        self._forgetting = forgetting
        self._stores = stores
        self._clock = clock
        self._known: frozenset[str] = frozenset()
        self._next: dict[str, float] = {}

    def finish(self, log: Readable, *, now: bool = True) -> Mapping[str, str]:
        """Looks at every store that is not done with every ticket; answers those that failed, with the error's class.

        now: False leaves out a store that was looked at less than AGAIN_S ago, unless there is a new ticket, a grace is
        over since or the store failed; and the log until a tenth of what is left of its retention has passed.
        """
        due = self._due()
        tickets = frozenset(one.ticket for one in due)
        if not tickets <= self._known:
            self._next = {}
        self._known = tickets
        wanted = [
            name
            for name in (LOG, FILES, *(other.name for other in self._stores))
            if any(name not in one.done for one in due)
            and (now or self._clock.monotonic() >= self._next.get(name, -math.inf))
        ]
        if not wanted:
            return {}
        at = micros(self._clock.now())
        stores = {other.name: other for other in self._stores}
        covers, failed = covering(self._store, self._forgetting.key), {}
        for name in wanted:
            todo = [one for one in due if name not in one.done]
            try:
                removed, clean = self._look(stores.get(name), name, log, covers, any(at >= one.over for one in todo))
            except Exception as error:  # one store that cannot must not keep the others from forgetting
                removed, clean = 0, lambda one: False
                failed[name] = type(error).__name__
            self._record(name, todo, removed, clean, at)
            self._next[name] = self._clock.monotonic() + (0.0 if name in failed else self._pause(name, todo, at))
        # The raw copy ends by itself: nobody waits for it.
        failed.pop(LOG, None)
        return failed

    def _due(self) -> Sequence[Due]:
        names = [LOG, FILES, *(other.name for other in self._stores)]
        settled = (
            select(func.count())
            .where(
                erasure_stores.c.ticket == erasures.c.ticket,
                erasure_stores.c.store.in_(names),
                erasure_stores.c.state == "done",
            )
            .scalar_subquery()
        )
        # Tickets are kept for ever: those that are done are not read every time.
        query = select(erasures.c.ticket, erasures.c.subject, erasures.c.erased_at, erasures.c.grace).where(
            settled < len(names)
        )
        done: dict[str, set[str]] = defaultdict(set)
        with self._store.reading() as connection:
            found = connection.execute(query).all()
            for part in chunks([row.ticket for row in found]):
                lines = select(erasure_stores).where(erasure_stores.c.ticket.in_(part))
                for row in connection.execute(lines.where(erasure_stores.c.state == "done")):
                    done[row.ticket].add(row.store)
        return [Due(row.ticket, row.subject, row.erased_at + row.grace, frozenset(done[row.ticket])) for row in found]

    def _look(
        self, other: ErasableStore | None, name: str, log: Readable, covers: Covers, over: bool
    ) -> tuple[int, Callable[[Due], bool]]:
        """How many a store removed, and whether it holds nothing of a ticket any more; asked only where that could make
        one done."""
        if other is not None:
            removed = other.erase(covers)
            clean = over and not other.holds(covers)
            return removed, lambda one: clean
        if name == FILES:
            shrunk = self._store.shrunk()
            return 0, lambda one: shrunk
        if not over:
            return 0, lambda one: False
        oldest = _oldest(log)
        shared = min((at for (topic, _), at in oldest.items() if not owner_of(topic)), default=math.inf)

        def gone(one: Due) -> bool:
            # Of most tickets this is known without asking the ledger, for as long as retention.
            if shared < one.over:
                return False
            with self._store.reading() as connection:
                return not rawcopies.left(rawcopies.of_subject(connection, one.subject), oldest)

        return 0, gone

    def _pause(self, name: str, todo: Sequence[Due], now: int) -> float:
        """Seconds until a store is looked at again."""
        ends = [(one.over - now) / 1_000_000 for one in todo]
        if name == LOG:
            return max(AGAIN_S, (min(ends) + self._forgetting.log_retention_s) / 10)
        return min([AGAIN_S, *(left for left in ends if left > 0)])

    def _record(self, name: str, tickets: Sequence[Due], removed: int, clean: Callable[[Due], bool], now: int) -> None:
        """Notes what is not noted yet: a ticket waits for the log for a month."""
        before: dict[str, tuple[str, int]] = {}
        with self._store.reading() as connection:
            for part in chunks([one.ticket for one in tickets]):
                query = select(erasure_stores).where(erasure_stores.c.store == name, erasure_stores.c.ticket.in_(part))
                before |= {row.ticket: (row.state, row.removed) for row in connection.execute(query)}
        lines = []
        for one in tickets:
            state = "done" if now >= one.over and clean(one) else "pending"
            total = before.get(one.ticket, ("", 0))[1] + removed
            if before.get(one.ticket) != (state, total):
                lines.append({"ticket": one.ticket, "store": name, "state": state, "removed": total, "at": now})
        if lines:
            with self._store.writing() as connection:
                connection.execute(dialect.insert_or_replace(connection, erasure_stores), lines)


def _oldest(log: Readable) -> Mapping[tuple[str, int], int]:
    """When the log took the oldest record that it still has of each partition (microseconds), where it has one."""
    return {
        (topic, part): micros(first[0].timestamp)
        for topic in of_kinds(log.topics, EVENTS)
        for part in log.end_offsets(topic)
        if (first := log.read(topic, part, 0, 1))
    }
