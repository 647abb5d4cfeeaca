"""Where the log may still have copies of what was erased: per subject and partition, when it took the last of them.

Noted in the transaction that erases, as rows of `meta`: a function of the records that were read. A copy that the log
took late (a second delivery, a spool that was cut off, a dead letter of days after) opens the ticket again, which names
the date of the last copy and waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from rejoinder.ledger.erasure.marks import Remains
from rejoinder.ledger.settings import Forgetting
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.schema import erasure_stores, erasures, meta
from rejoinder.ledger.stores.store import chunks
from rejoinder.stream.topics import owner_of

#: The log among the stores of a ticket.
LOG = "log"
PREFIX = "raw "


class RawCopy(NamedTuple):
    """The last covered copy in a partition. at: when the log took it, microseconds."""

    topic: str
    part: int
    at: int


def note(connection: Connection, gone: Iterable[Remains]) -> None:
    """Notes the places of erased records, and opens the tickets of those that lie later than was known."""
    last: dict[str, tuple[str, int]] = {}
    for remains in gone:
        topic, part, _ = remains.place
        name = f"{PREFIX}{remains.subject} {topic} {part}"
        last[name] = (remains.subject, max(remains.record_at, last.get(name, ("", 0))[1]))
    known: dict[str, int] = {}
    for names in chunks(sorted(last)):
        query = select(meta.c.name, meta.c.value).where(meta.c.name.in_(names))
        known |= {name: value for name, value in connection.execute(query)}
    later = {name: of for name, of in last.items() if of[1] > known.get(name, -1)}
    if not later:
        return
    connection.execute(
        dialect.insert_or_replace(connection, meta), [{"name": n, "value": at} for n, (_, at) in later.items()]
    )
    for subjects in chunks(sorted({subject for subject, _ in later.values()})):
        tickets = select(erasures.c.ticket).where(erasures.c.subject.in_(subjects))
        mine = (erasure_stores.c.store == LOG, erasure_stores.c.state == "done", erasure_stores.c.ticket.in_(tickets))
        connection.execute(update(erasure_stores).where(*mine).values(state="pending"))


def of_subject(connection: Connection, subject: str) -> list[RawCopy]:
    head = f"{PREFIX}{subject} "
    query = select(meta.c.name, meta.c.value).where(dialect.begins(meta.c.name, head))
    return [
        RawCopy(topic, int(part), at)
        for name, at in connection.execute(query)
        for topic, part in [name.removeprefix(head).split(" ")]
    ]


def ends_at(connection: Connection, forgetting: Forgetting, subject: str, over: float) -> float:
    """When retention has ended the last raw copy that is known of, seconds. over: when the grace is."""
    copies = of_subject(connection, subject)
    kept = {copy.topic: forgetting.kept_s(owner_of(copy.topic)) for copy in copies}
    moments = [over + seconds for seconds in kept.values()]
    moments += [copy.at / 1_000_000 + kept[copy.topic] for copy in copies]
    return max([over + forgetting.log_retention_s, *moments])


def left(copies: Iterable[RawCopy], oldest: Mapping[tuple[str, int], int]) -> bool:
    """Whether one of these copies may lie there. oldest: when the log took what it still has, where it has anything."""
    return any(oldest.get((copy.topic, copy.part), copy.at + 1) <= copy.at for copy in copies)
