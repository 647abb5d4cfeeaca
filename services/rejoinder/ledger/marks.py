"""Which records an erasure covers: those of its user, and those that name no user but something erased of that user.

Order-free: what is covered depends on the records and the erasures, not on which was read first. So an erased record
leaves marks (HMACs of its interaction, conversation and event id), and both what comes later and what lies there
already is held against them. A conversation that several people share goes as far as nobody is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from rejoinder.core import types
from rejoinder.core.ids import subject_of
from rejoinder.ledger import dialect
from rejoinder.ledger.rows import Arrived, Place
from rejoinder.ledger.schema import erasures, tombstones
from rejoinder.ledger.store import chunks


@dataclass(frozen=True)
class Remains:
    """What is still known of an erased record until its transaction ends. Empty texts where it named none."""

    tenant: str
    topic: str
    event_id: str
    interaction_id: str
    conversation_id: str
    subject: str


class Marks:
    """owns: what it read of the erasures in this transaction."""

    def __init__(self, connection: Connection, key: bytes) -> None:
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
                if subject in limits and event.accepted_at < limits[subject]:
                    out.setdefault(event.place, subject)
        return out

    def limits(self, subjects: Iterable[str]) -> Mapping[str, int]:
        """Until when (accepted, microseconds, exclusive) each subject is erased; absent where it is not."""
        out: dict[str, int] = {}
        for part in chunks(sorted(subjects)):
            query = (
                select(erasures.c.subject, func.max(erasures.c.erased_at + erasures.c.grace))
                .where(erasures.c.subject.in_(part))
                .group_by(erasures.c.subject)
            )
            out |= {subject: until for subject, until in self._connection.execute(query)}
        return out

    def _named(self, events: Sequence[Arrived]) -> Mapping[Place, set[str]]:
        """The subjects whose erased things a record without a user names."""
        wanted: dict[str, set[Place]] = defaultdict(set)
        for event in events:
            if not event.subject:
                for mark in self._marks(event):
                    wanted[mark].add(event.place)
        out: dict[Place, set[str]] = defaultdict(set)
        for part in chunks(sorted(wanted)):
            for mark, subject in self._connection.execute(
                select(tombstones.c.mark, tombstones.c.subject).where(tombstones.c.mark.in_(part))
            ):
                for place in wanted[mark]:
                    out[place].add(subject)
        return out

    def _marks(self, arrived: Arrived) -> set[str]:
        event = arrived.event
        named = {
            ("interaction", getattr(event, "interaction_id", "")),
            ("conversation", getattr(event, "conversation_id", "")),
            ("event", getattr(event, "source_event_id", "")),
        }
        return {self._mark(arrived.tenant, kind, name) for kind, name in named if name}

    def _mark(self, tenant: str, kind: str, name: str) -> str:
        return subject_of(self._key, tenant, f"{kind}\x00{name}")

    def bury(self, arrived: Arrived, subject: str) -> Remains:
        """Leaves the marks of an erased record."""
        event = arrived.event
        mine = isinstance(event, types.Interaction)
        remains = Remains(
            arrived.tenant,
            arrived.topic,
            arrived.event_id,
            event.interaction_id if mine else "",
            event.conversation_id if mine else "",
            subject,
        )
        named = (
            ("interaction", remains.interaction_id),
            ("conversation", remains.conversation_id),
            ("event", remains.event_id),
        )
        new = [{"mark": self._mark(arrived.tenant, k, name), "subject": subject} for k, name in named if name]
        self._connection.execute(dialect.insert_or_keep(tombstones), new)
        self._any = True
        return remains
