"""Which records an erasure covers: those of its user, and those that name no user but something erased of that user.

Order-free: what is covered depends on the records and the erasures, not on which was read first. So an erased record
leaves marks (HMACs of its interaction, conversation and event id), and both what comes later and what lies there
already is held against them. A conversation that several people share goes as far as nobody is named. The marks of an
erased record that named nobody lead on to those of what it named, and so to everybody whom it could have gone with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from rejoinder.core import types
from rejoinder.core.ids import subject_of
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import Arrived, Place, held
from rejoinder.ledger.stores.schema import erasures, tombstones
from rejoinder.ledger.stores.store import chunks


@dataclass(frozen=True)
class Limit:
    """Until when somebody is forgotten: what was accepted before `accepted` goes, and what happened before `happened`,
    however late it came. Microseconds, exclusive."""

    accepted: int
    happened: int

    def covers(self, event: Arrived) -> bool:
        return event.accepted_at < self.accepted or event.at < self.happened

    def within(self, table: Table) -> ColumnElement[bool]:
        """The same of the rows of an event table."""
        return or_(table.c.accepted_at < self.accepted, table.c.at < self.happened)


@dataclass(frozen=True)
class Remains:
    """What is still known of an erased record until its transaction ends. Empty texts where it named none."""

    tenant: str
    kind: str
    event_id: str
    interaction_id: str
    conversation_id: str
    subject: str
    accepted_at: int
    place: Place
    record_at: int


class Marks:
    """owns: what it read of the erasures in this transaction."""

    def __init__(self, connection: Connection, key: bytes) -> None:
        #: Whether a new mark is one that others lead to: then what names only those must be looked at again.
        self.led_on = False
        self._connection = connection
        self._key = key
        self._any = connection.execute(select(tombstones.c.mark).limit(1)).first() is not None

    def erased(self, events: Sequence[Arrived]) -> Mapping[Place, str]:
        """The place of every covered record, and the subject it goes with."""
        marks = self._named(events) if self._any else {}
        subjects = {event.subject for event in events} | {s for found in marks.values() for s in found}
        limits = self.limits(subjects - {""})
        if not limits:
            return {}
        out: dict[Place, str] = {}
        for event in events:
            candidates = [event.subject] if event.subject else sorted(marks.get(event.place, ()))
            for subject in candidates:
                if subject in limits and limits[subject].covers(event):
                    out.setdefault(event.place, subject)
        return out

    def limits(self, subjects: Iterable[str]) -> Mapping[str, Limit]:
        """Until when each subject is erased; absent where it is not."""
        out: dict[str, Limit] = {}
        for part in chunks(sorted(subjects)):
            query = (
                select(
                    erasures.c.subject,
                    func.max(erasures.c.erased_at + erasures.c.grace),
                    func.max(erasures.c.erased_at),
                )
                .where(erasures.c.subject.in_(part))
                .group_by(erasures.c.subject)
            )
            out |= {subject: Limit(*until) for subject, *until in self._connection.execute(query)}
        return out

    def _named(self, events: Sequence[Arrived]) -> Mapping[Place, set[str]]:
        """What a record without a user leads to: the subjects whose erased things it names, itself or by way of erased
        records that named nobody either; marks among them."""
        named = {event.place: self._marks(event) for event in events if not event.subject}
        leads: dict[str, set[str]] = defaultdict(set)
        known: set[str] = set()
        new = set().union(*named.values())
        while new:
            known |= new
            for part in chunks(sorted(new)):
                query = select(tombstones.c.mark, tombstones.c.subject).where(tombstones.c.mark.in_(part))
                for mark, target in self._connection.execute(query):
                    leads[mark].add(target)
            new = set().union(*(leads.get(mark, set()) for mark in new)) - known
        return {place: _reached(marks, leads) for place, marks in named.items()}

    def took(self, tenant: str, events: Iterable[str]) -> bool:
        """Whether an erasure took one of these events."""
        marks = {self._mark(tenant, "event", name) for name in events}
        return any(
            self._connection.execute(select(tombstones.c.mark).where(tombstones.c.mark.in_(part)).limit(1)).first()
            for part in chunks(sorted(marks))
        )

    def _marks(self, arrived: Arrived) -> set[str]:
        """Of what a record names; a dead letter names what the record in it does."""
        event = held(arrived.event) if isinstance(arrived.event, types.DeadLetter) else arrived.event
        named = {
            ("interaction", getattr(event, "interaction_id", "")),
            ("conversation", getattr(event, "conversation_id", "")),
            ("event", getattr(event, "source_event_id", "")),
        }
        return {self._mark(arrived.tenant, kind, name) for kind, name in named if name}

    def _mark(self, tenant: str, kind: str, name: str) -> str:
        return subject_of(self._key, tenant, f"{kind}\x00{name}")

    def bury(self, arrived: Arrived, subject: str) -> Remains:
        """Leaves the marks of an erased record. Those of one with a user lead to the user; those of one without lead on
        to what it names, whomever it went with: so they are a function of the record, whichever erasure came first."""
        event = arrived.event
        mine = isinstance(event, types.Interaction)
        remains = Remains(
            arrived.tenant,
            arrived.kind,
            arrived.event_id,
            event.interaction_id if mine else "",
            event.conversation_id if mine else "",
            subject,
            arrived.accepted_at,
            arrived.place,
            arrived.record_at,
        )
        named = (
            ("interaction", remains.interaction_id),
            ("conversation", remains.conversation_id),
            ("event", remains.event_id),
        )
        own = {self._mark(arrived.tenant, kind, name) for kind, name in named if name}
        leads = {subject} if arrived.subject else self._marks(arrived)
        new = [{"mark": mark, "subject": to} for mark in sorted(own) for to in sorted(leads) if mark != to]
        if new:
            self._connection.execute(dialect.insert_or_keep(self._connection, tombstones), new)
        on_the_way = select(tombstones.c.mark).where(tombstones.c.subject.in_(own)).limit(1)
        self.led_on |= self._connection.execute(on_the_way).first() is not None
        self._any = True
        return remains


def _reached(marks: Iterable[str], leads: Mapping[str, set[str]]) -> set[str]:
    todo, out = list(marks), set[str]()
    while todo:
        for target in leads.get(todo.pop(), set()) - out:
            out.add(target)
            todo.append(target)
    return out
