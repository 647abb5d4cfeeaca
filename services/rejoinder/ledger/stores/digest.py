"""The ledger's digest: SHA-256 over canonical rows. Equal for ledgers made from the same set of records.

Covered: of every event its identity, body digest, stamps and joins; what is dead-lettered; what is erased. Outside:
where a record lay and when it was read, duplicates, EXPIRED redeliveries, windows (functions of the rest and of cuts).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, func, select

from rejoinder.core.ids import digest_of
from rejoinder.ledger.stores import rows
from rejoinder.ledger.stores.schema import EVENTS, erasures, set_aside
from rejoinder.ledger.stores.store import Store, pages

_IDENTITY = ("tenant", "event_id", "body_digest", "accepted_at", "principal")
#: Columns of each event table that the digest covers, beyond its identity.
JOINED = {
    "interactions": ("parent", "parent_how", "crossed"),
    "feedback": ("state", "how", "cause", "target_interaction", "target_attempt", "repeat_key"),
    "signals": (),
    "rounds": (),
    "deadletters": (),
}


def ledger_digest(store: Store) -> str:
    """The digest (hex). Reads page by page; the store's own process writes nothing meanwhile."""
    digest = hashlib.sha256()
    with store.quiet():
        for line in _lines(store):
            digest.update(rows.compact(line).encode("utf-8", "surrogatepass"))
            digest.update(b"\n")
    return digest.hexdigest()


def _lines(store: Store) -> Iterator[list[Any]]:
    for topic, table in EVENTS.items():
        columns = [table.c[name] for name in (*_IDENTITY, *JOINED[topic])]
        for page in pages(store, select(*columns), [table.c.tenant, table.c.event_id]):
            yield from ([topic, *row] for row in page)
    keys: list[ColumnElement[Any]] = [set_aside.c.tenant, set_aside.c.reason, set_aside.c.body_digest]
    letters = select(*keys).where(set_aside.c.reason.not_in(["", "EXPIRED"])).distinct()
    for page in pages(store, letters, keys):
        yield from (["set_aside", *row] for row in page)
    until = func.max(erasures.c.erased_at + erasures.c.grace)
    gone = select(erasures.c.subject, until).group_by(erasures.c.subject)
    for page in pages(store, gone, [erasures.c.subject]):
        yield from (["erased", *row] for row in page)


def audit(store: Store) -> Iterator[tuple[str, str, str]]:
    """Topic, tenant and event id of every row whose content no longer has the body digest that it was stored with."""
    for topic, table in EVENTS.items():
        for page in pages(store, select(table), [table.c.tenant, table.c.event_id], size=1_000):
            for row in page:
                if digest_of(rows.to_body(topic, row._mapping)) != row.body_digest:
                    yield topic, row.tenant, row.event_id
