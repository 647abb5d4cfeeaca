"""Joined feedback in the order in which it was joined, for readers that keep their place here (the signal worker)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, insert, select, update

from rejoinder.core import types
from rejoinder.ledger.rows import to_event
from rejoinder.ledger.schema import feedback, interactions, joined, readers
from rejoinder.ledger.store import Store, chunks


@dataclass(frozen=True)
class NumberedEvidence:
    """number: rises in the order of joining; a piece joined anew (another answer was meant) comes again."""

    number: int
    interaction: types.Interaction
    feedback: types.Feedback


def number_joined(connection: Connection, tenant: str, event_ids: Sequence[str]) -> None:
    """Gives newly joined feedback the next numbers; inside the projection's transaction."""
    for part in chunks(sorted(event_ids)):
        connection.execute(delete(joined).where(joined.c.tenant == tenant, joined.c.event_id.in_(part)))
    if event_ids:
        connection.execute(insert(joined), [{"tenant": tenant, "event_id": event} for event in sorted(event_ids)])


def evidence_for(store: Store, reader: str, acknowledged: int, limit: int) -> Sequence[NumberedEvidence]:
    """What comes after the greatest number that this reader has acknowledged; `acknowledged` is acknowledged now.

    Feedback whose attempt is ambiguous is kept, counted and not read: nobody knows which answer it judges.
    """
    place = _acknowledge(store, reader, acknowledged)
    about = and_(
        interactions.c.tenant == feedback.c.tenant,
        interactions.c.interaction_id == feedback.c.target_interaction,
        interactions.c.attempt_id == feedback.c.target_attempt,
    )
    told = and_(feedback.c.tenant == joined.c.tenant, feedback.c.event_id == joined.c.event_id)
    numbered = (
        select(joined.c.number, feedback, interactions)
        .join(feedback, told)
        .join(interactions, about)
        .where(joined.c.number > place, feedback.c.state == "joined", feedback.c.cause == "")
        .order_by(joined.c.number)
        .limit(limit)
    )
    with store.reading() as connection:
        rows = connection.execute(numbered).all()
    return [
        NumberedEvidence(
            row[0],
            to_event("interactions", dict(zip(_INTERACTION, row[1 + len(_FEEDBACK) :], strict=True))),
            to_event("feedback", dict(zip(_FEEDBACK, row[1 : 1 + len(_FEEDBACK)], strict=True))),
        )
        for row in rows
    ]


_FEEDBACK = tuple(column.name for column in feedback.columns)
_INTERACTION = tuple(column.name for column in interactions.columns)


def _acknowledge(store: Store, reader: str, acknowledged: int) -> int:
    """The reader's place, moved up first where it says so."""
    query = select(readers.c.number).where(readers.c.reader == reader)
    with store.reading() as connection:
        place = connection.execute(query).scalar()
    if acknowledged <= (place or 0):
        return place or 0
    with store.writing() as connection:
        if place is None:
            connection.execute(insert(readers), [{"reader": reader, "number": acknowledged}])
        else:
            connection.execute(update(readers).where(readers.c.reader == reader).values(number=acknowledged))
    return acknowledged
