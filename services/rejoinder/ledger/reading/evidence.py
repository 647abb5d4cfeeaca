"""Joined feedback in the order in which it was joined: for a reader that keeps its place here (the signal worker), or,
by number, for those who share the work of a group on the log (relay.py tells them the numbers)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from rejoinder.core import types
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import DEFAULT_TENANT, micros, to_event
from rejoinder.ledger.stores.schema import feedback, interactions, joined, readers, signals
from rejoinder.ledger.stores.store import Store, chunks, pages

#: References looked up at a time: bounds what one call holds in memory where answers are long.
FETCH_PAGE = 20


@dataclass(frozen=True)
class NumberedEvidence:
    """number: rises in the order of joining; a piece joined anew (another answer was meant) comes again."""

    number: int
    interaction: types.Interaction
    feedback: types.Feedback


@dataclass(frozen=True)
class Said:
    """What an extractor said of a feedback event, without its words."""

    event_id: str
    polarity: types.Polarity
    confidence: float
    reasons: tuple[str, ...]


def number_joined(connection: Connection, tenant: str, event_ids: Sequence[str]) -> None:
    """Gives newly joined feedback the next numbers; inside the projection's transaction."""
    for part in chunks(sorted(event_ids)):
        connection.execute(delete(joined).where(joined.c.tenant == tenant, joined.c.event_id.in_(part)))
    if event_ids:
        rows = [{"tenant": tenant, "event_id": event} for event in sorted(event_ids)]
        dialect.put(connection, insert(joined), rows)


def evidence_for(store: Store, reader: str, acknowledged: int, limit: int) -> Sequence[NumberedEvidence]:
    """What comes after the greatest number that this reader has acknowledged; `acknowledged` is acknowledged now.

    Feedback whose attempt is ambiguous is kept, counted and not read: nobody knows which answer it judges.
    """
    place = acknowledge(store, reader, acknowledged)
    return _read(store, joined.c.number > place, limit)


def evidence_of(store: Store, references: Sequence[types.EvidenceReference]) -> Iterator[NumberedEvidence]:
    """The pieces behind references, which are in the order of their numbers; those that are no longer there (erased,
    dropped, joined anew under another number) or are another tenant's are left out."""
    for page in chunks(references, FETCH_PAGE):
        # A number may be asked for under two tenants: a ledger that was rebuilt gives it to another piece.
        asked = {(reference.tenant, reference.number) for reference in page}
        found = _read(store, joined.c.number.in_(sorted({number for _, number in asked})), len(page))
        yield from (piece for piece in found if (piece.feedback.tenant or DEFAULT_TENANT, piece.number) in asked)


def _read(store: Store, which: ColumnElement[bool], limit: int) -> Sequence[NumberedEvidence]:
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
        .where(which, feedback.c.state == "joined", feedback.c.cause == "")
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


def said_by(store: Store, tenant: str, extractor: str, version: str, since: float | None = None) -> Iterator[Said]:
    """Every signal of one version of an extractor about feedback that is joined to the answer it read, by event id.

    since: seconds; what happened before is left out.
    """
    columns = (signals.c.event_id, signals.c.source_event_id, signals.c.polarity, signals.c.confidence, signals.c.facts)
    about = and_(
        feedback.c.tenant == signals.c.tenant,
        feedback.c.event_id == signals.c.source_event_id,
        feedback.c.target_attempt == signals.c.attempt_id,
    )
    query = (
        select(*columns)
        .join(feedback, about)
        .where(signals.c.tenant == tenant, signals.c.extractor == extractor, signals.c.extractor_version == version)
        .where(feedback.c.state == "joined", feedback.c.cause == "")
    )
    if since is not None:
        query = query.where(signals.c.at >= micros(since))
    for page in pages(store, query, (signals.c.event_id,)):
        for row in page:
            reasons = tuple(reason["rubric"] for reason in json.loads(row.facts).get("reasons", ()))
            yield Said(row.source_event_id, types.Polarity(row.polarity), row.confidence, reasons)


def pieces_by_event(store: Store, tenant: str, event_ids: Sequence[str]) -> Iterator[NumberedEvidence]:
    """The joined pieces of these feedback events; those that are gone are left out."""
    for page in chunks(sorted(event_ids), FETCH_PAGE):
        yield from _read(store, and_(feedback.c.tenant == tenant, feedback.c.event_id.in_(page)), len(page))


def numbers_after(store: Store, place: int, limit: int) -> Sequence[types.EvidenceReference]:
    """References to what was joined after a number, in the order of joining."""
    query = select(joined.c.tenant, joined.c.number).where(joined.c.number > place).order_by(joined.c.number)
    with store.reading() as connection:
        return [types.EvidenceReference(*row) for row in connection.execute(query.limit(limit))]


def places(store: Store) -> Mapping[str, int]:
    """Reader → the greatest number that it has acknowledged."""
    with store.reading() as connection:
        return {row.reader: row.number for row in connection.execute(select(readers))}


def acknowledge(store: Store, reader: str, acknowledged: int) -> int:
    """The reader's place, moved up first where it says so; a reader that is new at 0 is noted by `note_reader`."""
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


def note_reader(store: Store, reader: str) -> None:
    """Has the ledger know a reader that has acknowledged nothing yet."""
    with store.reading() as connection:
        if connection.execute(select(readers.c.number).where(readers.c.reader == reader)).scalar() is not None:
            return
    with store.writing() as connection:
        connection.execute(dialect.insert_or_keep(connection, readers), [{"reader": reader, "number": 0}])
