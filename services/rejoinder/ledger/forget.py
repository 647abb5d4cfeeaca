"""Erasure inside the ledger: what an erasure takes out of its tables, in the transaction that reads it.

Rows go. Of a window's row the salted digest stays, so that the window's manifest still verifies. Other stores are the
business of erase.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, Table, func, select, update

from rejoinder.ledger import dialect, rows
from rejoinder.ledger.linker import relink
from rejoinder.ledger.marks import Remains
from rejoinder.ledger.schema import (
    EVENTS,
    erasure_stores,
    erasures,
    feedback,
    interactions,
    set_aside,
    signals,
    tombstones,
    window_rows,
)
from rejoinder.ledger.settings import Forgetting, Rules
from rejoinder.ledger.settler import Settler
from rejoinder.ledger.store import find

_GROUPED = ("duplicate", "conflict")
_WITHOUT_USER: Sequence[tuple[Table, str, str]] = (
    (interactions, "interaction_id", "interaction_id"),
    (interactions, "conversation_id", "conversation_id"),
    (feedback, "interaction_id", "interaction_id"),
    (feedback, "conversation_id", "conversation_id"),
    (signals, "interaction_id", "interaction_id"),
    (signals, "source_event_id", "event_id"),
)


class Forgetter:
    """One transaction's erasing. owns: nothing beyond its settler's transaction."""

    def __init__(self, connection: Connection, settler: Settler, forgetting: Forgetting) -> None:
        self._connection = connection
        self._settler = settler
        self._key = forgetting.key

    def apply(self, subjects: Iterable[str], now: int) -> None:
        """Takes out everything that the erasures of these subjects (recorded already) cover.

        now: microseconds, for the report.
        """
        for subject in sorted(set(subjects)):
            until = self._until(subject)
            parked = self._parked(subject, until)
            before = len(self._settler.remains)
            self._of_subject(subject, until)
            if self._connection.execute(select(tombstones.c.mark).where(tombstones.c.subject == subject)).first():
                self._without_user(until)
            self.spread()
            ticket = self._ticket(subject)
            removed = Counter(remains.topic for remains in self._settler.remains[before:])
            stores = {
                "ledger": sum(count for topic, count in removed.items() if topic != "deadletters"),
                "parked": parked,
                "dead_letters": removed["deadletters"],
                "windows": self._redacted(ticket),
            }
            self._connection.execute(
                dialect.insert_or_replace(erasure_stores),
                [
                    {"ticket": ticket, "store": store, "state": "done", "removed": count, "at": now}
                    for store, count in stores.items()
                ],
            )

    def _until(self, subject: str) -> int:
        query = select(func.max(erasures.c.erased_at + erasures.c.grace)).where(erasures.c.subject == subject)
        return self._connection.execute(query).scalar_one()

    def _ticket(self, subject: str) -> str:
        query = select(erasures.c.ticket).where(erasures.c.subject == subject).order_by(erasures.c.erased_at.desc())
        return self._connection.execute(query).scalars().first() or ""

    def _parked(self, subject: str, until: int) -> int:
        query = select(func.count()).where(
            feedback.c.subject == subject, feedback.c.accepted_at < until, feedback.c.state == "unlinked"
        )
        return self._connection.execute(query).scalar_one()

    def _of_subject(self, subject: str, until: int) -> None:
        ids: set[tuple[str, str]] = set()
        for table in (*EVENTS.values(), set_aside):
            if "subject" in table.c:
                query = select(table.c.tenant, table.c.event_id).where(
                    table.c.subject == subject, table.c.accepted_at < until
                )
                if table is set_aside:
                    query = query.where(table.c.counted.in_(_GROUPED))
                ids |= {(tenant, event_id) for tenant, event_id in self._connection.execute(query)}
        for tenant, event_id in sorted(ids):
            self._settler.resettle(tenant, event_id)
        loose = select(set_aside).where(
            set_aside.c.subject == subject, set_aside.c.accepted_at < until, set_aside.c.counted.not_in(_GROUPED)
        )
        for row in self._connection.execute(loose).mappings().all():
            self._settler.drop_aside(row, subject)

    def _without_user(self, until: int) -> None:
        """A subject that was erased before is erased again, later: what names no user is held against its marks."""
        for table in (interactions, feedback, signals, set_aside):
            query = select(table.c.tenant, table.c.event_id).where(table.c.subject == "", table.c.accepted_at < until)
            if table is set_aside:
                query = query.where(set_aside.c.counted.in_(_GROUPED))
            for tenant, event_id in self._connection.execute(query.distinct()).all():
                self._settler.resettle(tenant, event_id)

    def spread(self) -> None:
        """Takes out what names no user but something that was just erased, until nothing more is found."""
        done = 0
        while done < len(self._settler.remains):
            new = self._settler.remains[done:]
            done = len(self._settler.remains)
            self._redact(new)
            for tenant, event_id in sorted(self._naming(new)):
                self._settler.resettle(tenant, event_id)

    def _naming(self, new: Sequence[Remains]) -> Iterable[tuple[str, str]]:
        by_tenant: dict[str, list[Remains]] = defaultdict(list)
        for remains in new:
            by_tenant[remains.tenant].append(remains)
        found: set[tuple[str, str]] = set()
        for tenant, gone in by_tenant.items():
            for table, column, of in _WITHOUT_USER:
                values = {getattr(remains, of) for remains in gone} - {""}
                hits = find(self._connection, table, tenant, table.c[column], values, table.c.subject == "")
                found |= {(tenant, row["event_id"]) for row in hits}
            found |= {(tenant, row["event_id"]) for row in self._aside_naming(tenant, gone)}
        return found

    def _aside_naming(self, tenant: str, gone: Sequence[Remains]) -> Iterable[Mapping[str, object]]:
        """Copies set aside that name no user: few, so they are read one by one."""
        names = {name for remains in gone for name in (remains.interaction_id, remains.conversation_id)} - {""}
        events = {remains.event_id for remains in gone}
        query = select(set_aside).where(
            set_aside.c.tenant == tenant, set_aside.c.subject == "", set_aside.c.counted.in_(_GROUPED)
        )
        for row in self._connection.execute(query).mappings().all():
            event = rows.arrived_aside(row, self._key).event
            named = {getattr(event, "interaction_id", ""), getattr(event, "conversation_id", "")}
            if named & names or getattr(event, "source_event_id", "") in events:
                yield row

    def _redact(self, gone: Sequence[Remains]) -> None:
        for remains in gone:
            self._connection.execute(
                update(window_rows)
                .where(window_rows.c.tenant == remains.tenant, window_rows.c.evidence_id == remains.event_id)
                .values(
                    tenant=None,
                    evidence_id=None,
                    salt=None,
                    supersedes=None,
                    redacted_by=self._ticket(remains.subject),
                )
            )

    def _redacted(self, ticket: str) -> int:
        query = select(func.count()).where(window_rows.c.redacted_by == ticket)
        return self._connection.execute(query).scalar_one()


def finish(connection: Connection, settler: Settler, rules: Rules) -> None:
    """Ends a transaction's work: joins what changed, and adds up the counters."""
    settler.moved(relink(connection, settler.dirty, rules))
    settler.flush()
