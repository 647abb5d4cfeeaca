"""Events go when their time is over, whole days at once: in PostgreSQL their partitions are dropped.

The newest event is the clock, so that a rebuilt ledger drops the same; one stamped later than the log's own last record
counts as that record, or a single wrong stamp would end everything. What has to outlive them stays: rounds, the
digests of windows (their rows count as redacted), counters, erasures and the marks they left. An id and an attempt are
free again when their event is gone; `retention_s` is at least the dedupe time, so no redelivery can take them up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, or_, select, update

from rejoinder.ledger.reading.cut import dropped_name
from rejoinder.ledger.reading.queries import as_of
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import micros
from rejoinder.ledger.stores.schema import (
    DAILY,
    DAY,
    attempts,
    feedback,
    interactions,
    joined,
    meta,
    positions,
    seen,
    set_aside,
    signals,
    window_rows,
)
from rejoinder.ledger.stores.store import Store, find, read_meta

#: What a window's row says that lost its evidence to time and not to an erasure.
RETENTION = "retention"
#: Days that one transaction drops.
DAYS_AT_ONCE = 8


def retain(store: Store, settings: LedgerSettings) -> int:
    """Drops what is older than the settings say; answers since when (microseconds) events are held, 0 for ever."""
    with store.reading() as connection:
        floor = read_meta(connection, "floor")
        logged = connection.execute(select(func.max(positions.c.record_at))).scalar() or 0
        newest = min(as_of(connection), logged)
    if settings.retention_s is None:
        return floor
    wanted = (newest - micros(settings.retention_s)) // DAY * DAY
    if wanted > floor:
        with store.reading() as connection:
            oldest = _oldest(connection, wanted)
        # Some days at a time: a transaction takes a lock for every partition and index that it drops.
        for until in (*range(max(floor, oldest) + DAYS_AT_ONCE * DAY, wanted, DAYS_AT_ONCE * DAY), wanted):
            drop_before(store, settings, until)
    return max(floor, wanted)


def _oldest(connection: Connection, otherwise: int) -> int:
    """The start of the first day with an event."""
    moments = [connection.execute(select(func.min(table.c.accepted_at))).scalar() for table in DAILY]
    return min((moment for moment in moments if moment is not None), default=otherwise) // DAY * DAY


def drop_before(store: Store, settings: LedgerSettings, floor: int) -> None:
    """Drops all events accepted before a day's start (microseconds). Raises Aborted where a reader keeps a day."""
    with store.writing() as connection:
        _redact(connection, floor)
        _note_dropped(connection, floor)
        connection.execute(delete(joined).where(_gone(joined.c.tenant, joined.c.event_id, feedback, floor)))
        for table in DAILY:
            store.database.forget_days(connection, table, floor)
        connection.execute(delete(seen).where(seen.c.expires < floor + micros(settings.rules.dedupe_s)))
        for table in (attempts, set_aside):
            connection.execute(delete(table).where(table.c.accepted_at < floor))
        connection.execute(update(meta).where(meta.c.name == "floor").values(value=floor))


def _note_dropped(connection: Connection, floor: int) -> None:
    """Up to which place of the log evidence is missing: no window may begin before it any more (cut.py)."""
    for table in (interactions, feedback, signals):
        query = select(table.c.topic, table.c.part, func.max(table.c.pos)).where(table.c.accepted_at < floor)
        for topic, part, pos in connection.execute(query.group_by(table.c.topic, table.c.part)).all():
            name = dropped_name(topic, part)
            end = max(pos + 1, read_meta(connection, name))
            connection.execute(dialect.insert_or_replace(connection, meta), [{"name": name, "value": end}])


def _redact(connection: Connection, floor: int) -> None:
    """Empties the rows of windows that can no longer be made again: what they are of goes, or what it is about."""
    row = window_rows.c
    mine = and_(feedback.c.tenant == row.tenant, feedback.c.event_id == row.evidence_id)
    said = and_(signals.c.tenant == row.tenant, signals.c.event_id == row.evidence_id)
    of_said = and_(said, feedback.c.tenant == signals.c.tenant, feedback.c.event_id == signals.c.source_event_id)
    answer_goes = and_(
        interactions.c.tenant == feedback.c.tenant,
        interactions.c.interaction_id == feedback.c.target_interaction,
        interactions.c.accepted_at < floor,
    )
    about = and_(signals.c.tenant == row.tenant, signals.c.source_event_id == row.evidence_id)
    lost = or_(
        exists().where(mine, feedback.c.accepted_at < floor),
        exists().where(said, signals.c.accepted_at < floor),
        exists().where(of_said, feedback.c.accepted_at < floor),
        exists().where(about, signals.c.accepted_at < floor),
        exists().where(mine, answer_goes),
        exists().where(of_said, answer_goes),
    )
    emptied = {"tenant": None, "evidence_id": None, "salt": None, "supersedes": None, "redacted_by": RETENTION}
    rest = row.redacted_by.is_(None)
    connection.execute(update(window_rows).where(rest, lost).values(**emptied))
    for key in _of_several(connection, floor):
        one = and_(*(column == value for column, value in zip(window_rows.primary_key, key, strict=True)))
        connection.execute(update(window_rows).where(one).values(**emptied))


def _of_several(connection: Connection, floor: int) -> Iterable[tuple[str, int, str]]:
    """The rows of windows that name what goes beside their own evidence: what they replace, a comparison's other
    answer."""
    row = window_rows.c
    keys = tuple(window_rows.primary_key)
    query = select(*keys, row.tenant, row.supersedes).where(row.redacted_by.is_(None), row.supersedes != "[]")
    for *key, tenant, supersedes in connection.execute(query).all():
        replaced = json.loads(supersedes)
        for table in (feedback, signals):
            if find(connection, table, tenant, table.c.event_id, replaced, table.c.accepted_at < floor):
                yield tuple(key)
    mine = and_(feedback.c.tenant == row.tenant, feedback.c.event_id == row.evidence_id)
    query = select(*keys, row.tenant, feedback.c.facts).where(mine, feedback.c.kind == "comparison")
    for *key, tenant, facts in connection.execute(query).all():
        other = json.loads(facts)["comparison"].get("other_interaction_id", "")
        late = interactions.c.accepted_at < floor
        if other and find(connection, interactions, tenant, interactions.c.interaction_id, [other], late):
            yield tuple(key)


def _gone(tenant: ColumnElement[str], event_id: ColumnElement[str], table: Table, floor: int) -> ColumnElement[bool]:
    """Whether an event of the table is about to be dropped."""
    old = select(table.c.event_id).where(
        and_(table.c.tenant == tenant, table.c.event_id == event_id, table.c.accepted_at < floor)
    )
    return exists(old)
