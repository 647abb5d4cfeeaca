"""Answers with what users did about them: the one reading of the ledger that gives words to people.

It walks the newest answers without their words, some thousand a call, and reads the words of those that are shown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from rejoinder.core import types
from rejoinder.core.errors import InvalidArgument
from rejoinder.ledger.reading.labels import in_force
from rejoinder.ledger.reading.queries import judgement
from rejoinder.ledger.stores import dialect, rows
from rejoinder.ledger.stores.schema import feedback, interactions, signals
from rejoinder.ledger.stores.store import Store, find

MAX_LIMIT = 100
#: Answers looked at in one call, and those whose reactions are read at a time.
SCAN, PAGE = 5_000, 250
#: Characters after which a page ends early, and reactions that an answer comes with: together far below what our
#: clients take, whoever floods an answer.
MOST_CHARS, MOST_HEARD = 4 << 20, 50
_PLACE = ("accepted_at", "event_id", "interaction_id", "attempt_id")


@dataclass(frozen=True)
class Wanted:
    """Which answers, as ListAnswers has them. polarity: UNSPECIFIED for all."""

    tenant: str
    polarity: types.Polarity = types.Polarity.UNSPECIFIED
    conversation_id: str = ""
    interaction_id: str = ""
    version: str = ""
    before: str = ""
    limit: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_LIMIT:
            raise InvalidArgument(f"limit must be from 1 to {MAX_LIMIT}", field="limit", value=self.limit)


@dataclass(frozen=True)
class Heard:
    """Feedback and its signals. in_force: ids of those that speak for it."""

    feedback: types.Feedback
    signals: tuple[types.Signal, ...]
    in_force: tuple[str, ...]


@dataclass(frozen=True)
class Listed:
    """unheard: reactions that it comes without."""

    interaction: types.Interaction
    feedback: tuple[Heard, ...]
    unheard: int


def listed(store: Store, wanted: Wanted) -> tuple[Sequence[Listed], str]:
    """A page, newest first, and the place behind it, "" at the end. Raises InvalidArgument."""
    at = _place(wanted.before)
    found: list[Listed] = []
    size = 0
    # Where every answer is shown none beyond the first page is looked at.
    most = SCAN if wanted.polarity is not types.Polarity.UNSPECIFIED else MAX_LIMIT
    places = _places(store, wanted, at, most)
    for page in (places[start : start + PAGE] for start in range(0, len(places), PAGE)):
        with store.reading() as connection:
            about = _about(connection, wanted.tenant, page)
            for row in page:
                at = (row["accepted_at"], row["event_id"])
                heard = about[row["interaction_id"], row["attempt_id"]]
                if _says(heard, wanted.polarity):
                    shown = _listed(connection, wanted.tenant, row["event_id"], heard)
                    found += shown
                    size += sum(map(_size, shown))
                if len(found) == wanted.limit or size >= MOST_CHARS:
                    return found, _told(at)
    return found, "" if len(places) < most else _told(at)


def _places(store: Store, wanted: Wanted, at: tuple[int, str] | None, most: int) -> Sequence[Mapping[str, Any]]:
    """Where the next answers lie: asked for once, as a ledger without statistics may sort a tenant's whole for it."""
    with store.reading() as connection:
        return dialect.named(connection.execute(_query(connection, wanted, at, most)))


def _query(connection: Connection, wanted: Wanted, at: tuple[int, str] | None, most: int) -> Any:
    columns = [interactions.c[name] for name in _PLACE]
    few = wanted.conversation_id or wanted.interaction_id
    # SQLite would gather a tenant's whole and sort it; walked by time it stops at what was asked for.
    tenant = interactions.c.tenant if few else dialect.by_order(connection, interactions.c.tenant)
    where: list[ColumnElement[bool]] = [tenant == wanted.tenant]
    for name in ("conversation_id", "interaction_id", "version"):
        if said := getattr(wanted, name):
            where.append(interactions.c[name] == said)
    if at is not None:
        same = and_(interactions.c.accepted_at == at[0], interactions.c.event_id < at[1])
        where += (interactions.c.accepted_at <= at[0], or_(interactions.c.accepted_at < at[0], same))
    ordered = (interactions.c.accepted_at.desc(), interactions.c.event_id.desc())
    return select(*columns).where(*where).order_by(*ordered).limit(most)


def _about(
    connection: Connection, tenant: str, page: Sequence[Mapping[str, Any]]
) -> Mapping[tuple[str, str], list[tuple[Mapping[str, Any], list[Any]]]]:
    """Of each attempt the feedback that was joined to it, without words, with its signals."""
    columns = [feedback.c[n] for n in ("event_id", "target_interaction", "target_attempt", "at")]
    ids = [row["interaction_id"] for row in page]
    replies = find(
        connection, feedback, tenant, feedback.c.target_interaction, ids, feedback.c.state == "joined", columns=columns
    )
    by_source: dict[str, list[Any]] = defaultdict(list)
    for signal in find(connection, signals, tenant, signals.c.source_event_id, [r["event_id"] for r in replies]):
        by_source[signal["source_event_id"]].append(signal)
    out: dict[tuple[str, str], list[tuple[Mapping[str, Any], list[Any]]]] = defaultdict(list)
    for reply in sorted(replies, key=lambda r: (r["at"], r["event_id"])):
        said = (reply, by_source[reply["event_id"]])
        if reply["target_attempt"]:
            out[reply["target_interaction"], reply["target_attempt"]].append(said)
            continue
        # Nobody knows which attempt is meant: it is shown with each.
        for row in page:
            if row["interaction_id"] == reply["target_interaction"]:
                out[row["interaction_id"], row["attempt_id"]].append(said)
    return out


def _says(heard: Iterable[tuple[Any, list[Any]]], polarity: types.Polarity) -> bool:
    if polarity is types.Polarity.UNSPECIFIED:
        return True
    last = judgement(in_force(signal for _, said in heard for signal in said))
    return last is not None and last["polarity"] == polarity.value


def _listed(
    connection: Connection, tenant: str, event_id: str, heard: Sequence[tuple[Mapping[str, Any], list[Any]]]
) -> Sequence[Listed]:
    """One; none where somebody was erased since its place was found."""
    found = find(connection, interactions, tenant, interactions.c.event_id, [event_id])
    if not found:
        return ()
    told = heard[:MOST_HEARD]
    words = find(connection, feedback, tenant, feedback.c.event_id, [reply["event_id"] for reply, _ in told])
    whole = {row["event_id"]: row for row in words}
    listed = Listed(
        rows.to_event("interactions", found[0]),
        tuple(
            Heard(
                rows.to_event("feedback", whole[reply["event_id"]]),
                tuple(rows.to_event("signals", signal) for signal in said),
                tuple(signal["event_id"] for signal in in_force(said)),
            )
            for reply, said in told
        ),
        len(heard) - len(told),
    )
    return (listed,)


def _size(listed: Listed) -> int:
    answer = listed.interaction
    written = (getattr(heard.feedback.kind, "text", "") for heard in listed.feedback)
    texts = (answer.response, *(message.content for message in answer.messages), *written)
    return sum(map(len, texts))


def _told(at: tuple[int, str] | None) -> str:
    return "" if at is None else f"{at[0]}/{at[1]}"


def _place(before: str) -> tuple[int, str] | None:
    if not before:
        return None
    moment, divided, event_id = before.partition("/")
    if not divided or not moment.isascii() or not moment.isdecimal() or len(moment) > 18:
        raise InvalidArgument("before must be as `next` of the page before it", field="before")
    return int(moment), event_id
