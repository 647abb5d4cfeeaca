"""A user is forgotten: the request, the stores beyond the ledger, and what stands where afterwards.

`request` appends an erasure to the log and answers with a ticket. The projector takes the user out of the ledger's own
tables in the transaction that reads it (forget.py). `finish` runs the other stores; each is done once it ran after the
grace, when no late record of before the request can arrive any more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, func, select

from rejoinder.core import types
from rejoinder.core.ids import subject_of, uuid7
from rejoinder.ledger import dialect
from rejoinder.ledger.rows import DEFAULT_TENANT, micros
from rejoinder.ledger.schema import erasure_stores, erasures
from rejoinder.ledger.settings import Forgetting
from rejoinder.ledger.store import Store
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import NewRecord

#: Tenant, user and when the record was accepted (seconds) → whether it must go.
Covers = Callable[[str, str, float], bool]
#: Makes one record durable on the log, or raises (LogUnavailable, …).
Append = Callable[[NewRecord], None]


class ErasableStore(Protocol):
    """A store beyond the ledger that holds what users said: pair sets, candidate sets, snapshots, spools."""

    @property
    def name(self) -> str: ...

    def erase(self, covers: Covers) -> int:
        """Removes every covered record and answers how many; may be called again; raises where it cannot."""


@dataclass(frozen=True)
class Ticket:
    """Times in seconds. raw_copy_ends_at: when the log's retention ends the last raw copy."""

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
    return Ticket(ticket, erased_at, erased_at + forgetting.grace_s + forgetting.log_retention_s)


def finish(store: Store, forgetting: Forgetting, stores: Sequence[ErasableStore], now: float) -> Mapping[str, str]:
    """Runs every store that is not done with every ticket; answers the stores that failed, with the error's class."""
    with store.reading() as connection:
        limits = {
            subject: until / 1_000_000
            for subject, until in connection.execute(
                select(erasures.c.subject, func.max(erasures.c.erased_at + erasures.c.grace)).group_by(
                    erasures.c.subject
                )
            )
        }
        tickets = connection.execute(select(erasures.c.ticket, erasures.c.erased_at, erasures.c.grace)).all()
        done = {
            (row.ticket, row.store): row.removed
            for row in connection.execute(select(erasure_stores).where(erasure_stores.c.state == "done"))
        }

    def covers(tenant: str, user_id: str, accepted_at: float) -> bool:
        if not user_id:
            return False
        until = limits.get(subject_of(forgetting.key, tenant or DEFAULT_TENANT, user_id))
        return until is not None and accepted_at < until

    failed: dict[str, str] = {}
    for other in stores:
        todo = [row for row in tickets if (row.ticket, other.name) not in done]
        if not todo:
            continue
        try:
            removed = other.erase(covers)
        except Exception as error:  # one store that cannot must not keep the others from forgetting
            failed[other.name] = type(error).__name__
            removed = -1
        _record(store, other.name, todo, removed, micros(now))
    return failed


def _record(store: Store, name: str, tickets: Sequence[object], removed: int, now: int) -> None:
    with store.writing() as connection:
        for row in tickets:
            before = connection.execute(
                select(erasure_stores.c.removed).where(
                    erasure_stores.c.ticket == row.ticket, erasure_stores.c.store == name
                )
            ).scalar()
            over = removed >= 0 and now >= row.erased_at + row.grace
            line = {
                "ticket": row.ticket,
                "store": name,
                "state": "done" if over else "pending",
                "removed": (before or 0) + max(0, removed),
                "at": now,
            }
            connection.execute(dialect.insert_or_replace(erasure_stores), [line])
