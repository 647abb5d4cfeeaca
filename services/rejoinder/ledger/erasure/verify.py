"""What is left of a user who was forgotten, looked up in every store that can be reached: the proof of a ticket.

By what records say of themselves, not by bytes: tests search those. The raw copy on the log may be there until its
date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from rejoinder.core.errors import NotFound
from rejoinder.core.ids import subject_of
from rejoinder.ledger.erasure import rawcopies
from rejoinder.ledger.erasure.erase import LOG, ErasableStore, covering
from rejoinder.ledger.erasure.marks import Marks
from rejoinder.ledger.intake.projector import Readable
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import rows
from rejoinder.ledger.stores.rows import DEFAULT_TENANT, Arrived
from rejoinder.ledger.stores.schema import EVENTS, erasures, set_aside
from rejoinder.ledger.stores.store import Store, pages
from rejoinder.stream.topics import of_kinds


@dataclass(frozen=True)
class Left:
    """Records in one store that were to go. ends_at: until when they may be there (seconds), None: not any more."""

    store: str
    found: int
    ends_at: float | None = None


def left_of(
    store: Store,
    settings: LedgerSettings,
    log: Readable,
    others: Sequence[ErasableStore],
    tenant: str,
    user_id: str,
) -> Sequence[Left]:
    """Raises NotFound where the ledger has read no erasure of this user. store may be open for reading only."""
    tenant = tenant or DEFAULT_TENANT
    key = settings.forgetting.key
    subject = subject_of(key, tenant, user_id)
    with store.reading() as connection:
        limit = Marks(connection, key).limits([subject]).get(subject)
        last = select(func.max(erasures.c.erased_at + erasures.c.grace)).where(erasures.c.subject == subject)
        over = (connection.execute(last).scalar() or 0) / 1_000_000
        ends_at = rawcopies.ends_at(connection, settings.forgetting, subject, over)
    if limit is None:
        raise NotFound("the ledger has read no request to forget this user", tenant=tenant)
    covers, mine = covering(store, key), (tenant, user_id)

    def theirs(tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool:
        return (tenant or DEFAULT_TENANT, user_id) == mine and covers(tenant, user_id, accepted_at, events)

    def count(found: Iterator[Arrived]) -> int:
        return sum(arrived.subject == subject and limit.covers(arrived) for arrived in found)

    return [
        Left("ledger", count(_held(store, key, subject))),
        Left(LOG, count(_raw(log, key)), ends_at),
        *(Left(other.name, other.holds(theirs)) for other in others),
    ]


def _held(store: Store, key: bytes, subject: str) -> Iterator[Arrived]:
    """What a ledger holds of a subject."""
    for topic, table in EVENTS.items():
        query = select(table).where(table.c.subject == subject)
        for page in pages(store, query, [table.c.tenant, table.c.event_id], size=1_000):
            yield from (rows.arrived_of(topic, row._mapping) for row in page)
    query = select(set_aside).where(set_aside.c.subject == subject)
    for page in pages(store, query, list(set_aside.primary_key), size=1_000):
        yield from (rows.arrived_aside(row._mapping, key) for row in page)


def _raw(log: Readable, key: bytes) -> Iterator[Arrived]:
    """Every event that the log still has."""
    for topic in of_kinds(log.topics, EVENTS):
        for part, end in log.end_offsets(topic).items():
            at = 0
            while at < end and (found := log.read(topic, part, at, 2_000)):
                yield from (rows.arrive(record, key) for record in found)
                at = found[-1].offset + 1
