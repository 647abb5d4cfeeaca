"""Erasure inside the ledger: what an erasure takes out of its tables, in the transaction that reads it.

Rows go. Of a window's row the salted digest stays, so that the window's manifest still verifies. Other stores are the
business of erase.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select, Table, func, select, update

from rejoinder.ledger.erasure.marks import Limit, Remains
from rejoinder.ledger.intake.linker import relink
from rejoinder.ledger.intake.settler import Settler
from rejoinder.ledger.settings import Forgetting, Rules
from rejoinder.ledger.stores import dialect, rows
from rejoinder.ledger.stores.rows import Arrived
from rejoinder.ledger.stores.schema import (
    EVENTS,
    dead_letters,
    erasure_stores,
    erasures,
    feedback,
    interactions,
    rounds,
    set_aside,
    signals,
    tombstones,
    window_rows,
)
from rejoinder.ledger.stores.store import find

_GROUPED = ("duplicate", "conflict")
#: Rows that are read at a time of those that may be many.
_PART = 500
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
            limit = self._settler.marks.limits([subject])[subject]
            parked = self._parked(subject, limit)
            before = len(self._settler.remains)
            # Asked first: the marks that this erasure leaves itself are looked after by spread.
            again = self._connection.execute(select(tombstones.c.mark).where(tombstones.c.subject == subject)).first()
            self._of_subject(subject, limit)
            if again:
                self._without_user(limit)
            self.spread()
            ticket = self._ticket(subject)
            removed = Counter(remains.kind for remains in self._settler.remains[before:])
            stores = {
                "ledger": sum(count for kind, count in removed.items() if kind != "deadletters"),
                "parked": parked,
                "dead_letters": removed["deadletters"],
                "windows": self._redacted(ticket),
            }
            self._connection.execute(
                dialect.insert_or_replace(self._connection, erasure_stores),
                [
                    {"ticket": ticket, "store": store, "state": "done", "removed": count, "at": now}
                    for store, count in stores.items()
                ],
            )

    def _ticket(self, subject: str) -> str:
        query = select(erasures.c.ticket).where(erasures.c.subject == subject).order_by(erasures.c.erased_at.desc())
        return self._connection.execute(query).scalars().first() or ""

    def _parked(self, subject: str, limit: Limit) -> int:
        query = select(func.count()).where(
            feedback.c.subject == subject, limit.within(feedback), feedback.c.state == "unlinked"
        )
        return self._connection.execute(query).scalar_one()

    def _of_subject(self, subject: str, limit: Limit) -> None:
        ids: set[tuple[str, str]] = set()
        for table in (*EVENTS.values(), set_aside):
            if "subject" in table.c:
                # What was set aside is held against the limit when it is read: it has no column for when it happened.
                of = set_aside.c.counted.in_(_GROUPED) if table is set_aside else limit.within(table)
                query = select(table.c.tenant, table.c.event_id).where(table.c.subject == subject, of)
                ids |= {(tenant, event_id) for tenant, event_id in self._connection.execute(query)}
        for tenant, event_id in sorted(ids):
            self._settler.resettle(tenant, event_id)
        loose = select(set_aside).where(set_aside.c.subject == subject, set_aside.c.counted.not_in(_GROUPED))
        self._settler.resettle_expired(dialect.named(self._connection.execute(loose)))

    def _without_user(self, limit: Limit) -> None:
        """What names no user is held against all marks again: where somebody who was erased before is erased again,
        later, and where marks began to lead on. Only what is covered is taken out: the rest costs a look, no new
        number."""
        covered: set[tuple[str, str]] = set()
        for topic, table in EVENTS.items():
            if table is not rounds:
                query = select(table).where(table.c.subject == "", limit.within(table))
                covered |= self._covered(query, partial(rows.arrived_of, topic))
        copies = select(set_aside).where(set_aside.c.subject == "", set_aside.c.counted.in_(_GROUPED))
        covered |= self._covered(copies, lambda row: rows.arrived_aside(row, self._key))
        for tenant, event_id in sorted(covered):
            self._settler.resettle(tenant, event_id)
        late = select(set_aside).where(set_aside.c.subject == "", set_aside.c.counted == "expired")
        self._settler.resettle_expired(dialect.named(self._connection.execute(late)))

    def _covered(self, query: Select[Any], read: Callable[[Mapping[str, Any]], Arrived]) -> set[tuple[str, str]]:
        """The ids of those of these rows that an erasure covers. Some at a time: they hold words."""
        found: set[tuple[str, str]] = set()
        for part in self._connection.execute(query, execution_options={"yield_per": _PART}).mappings().partitions():
            some: Sequence[Mapping[Any, Any]] = part
            arrivals = [read(row) for row in some]
            places = self._settler.marks.erased(arrivals)
            found |= {(arrived.tenant, arrived.event_id) for arrived in arrivals if arrived.place in places}
        return found

    def spread(self) -> None:
        """Takes out what names no user but something that was just erased, until nothing more is found."""
        done = 0
        while done < len(self._settler.remains):
            new = self._settler.remains[done:]
            done = len(self._settler.remains)
            self._redact(new)
            for tenant, event_id in sorted(self._naming(new)):
                self._settler.resettle(tenant, event_id)
            if done == len(self._settler.remains) and self._settler.led_on():
                self._without_user(self._latest())

    def again(self) -> None:
        """Holds all that names no user against the marks, wherever those came from."""
        self._without_user(self._latest())
        self.spread()

    def _latest(self) -> Limit:
        """The limit that nothing which is covered lies beyond."""
        query = select(func.max(erasures.c.erased_at + erasures.c.grace), func.max(erasures.c.erased_at))
        return Limit(*(moment or 0 for moment in self._connection.execute(query).one()))

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
            found |= {(tenant, row["event_id"]) for row in self._dead_naming(tenant, gone)}
            copies = list(self._aside_naming(tenant, gone))
            found |= {(tenant, row["event_id"]) for row in copies if row["counted"] in _GROUPED}
            self._settler.resettle_expired([row for row in copies if row["counted"] not in _GROUPED])
        return found

    def _aside_naming(self, tenant: str, gone: Sequence[Remains]) -> Iterable[Mapping[str, Any]]:
        """Records set aside that name no user: few, so they are read one by one."""
        query = select(set_aside).where(
            set_aside.c.tenant == tenant,
            set_aside.c.subject == "",
            set_aside.c.counted.in_((*_GROUPED, "expired")),
        )
        for row in dialect.named(self._connection.execute(query)):
            if _names(rows.arrived_aside(row, self._key).event, gone):
                yield row

    def _dead_naming(self, tenant: str, gone: Sequence[Remains]) -> Iterable[Mapping[str, Any]]:
        """Dead letters of records that name no user: few as well."""
        query = select(dead_letters).where(dead_letters.c.tenant == tenant, dead_letters.c.subject == "")
        for row in dialect.named(self._connection.execute(query)):
            if _names(rows.held(rows.to_event("deadletters", row)), gone):
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


def _names(event: object, gone: Sequence[Remains]) -> bool:
    """Whether an event that names no user names something of what is gone."""
    names = {name for remains in gone for name in (remains.interaction_id, remains.conversation_id)} - {""}
    named = {getattr(event, "interaction_id", ""), getattr(event, "conversation_id", "")}
    return bool(named & names) or getattr(event, "source_event_id", "") in {remains.event_id for remains in gone}


def finish(connection: Connection, settler: Settler, rules: Rules) -> None:
    """Ends a transaction's work: joins what changed, and adds up the counters."""
    settler.moved(relink(connection, settler.dirty, rules))
    settler.flush()
