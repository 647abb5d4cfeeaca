"""Keeps the joined columns true: after every batch, the links of all feedback and threads that it may have changed are
worked out again from what the tables hold, by the pure rules of joins.py."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, bindparam, select, true, update

from rejoinder.ledger.intake import joins
from rejoinder.ledger.intake.joins import Answer, Ask, Link, Thread
from rejoinder.ledger.reading.evidence import number_joined
from rejoinder.ledger.settings import Rules
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import micros
from rejoinder.ledger.stores.schema import feedback, interactions
from rejoinder.ledger.stores.store import chunks, find, read_meta

#: Most answers of one digest that are looked at for one feedback: beyond it, it is ambiguous anyhow.
SAID_LIMIT = 50

LIGHT = [
    interactions.c[name]
    for name in (
        "tenant",
        "interaction_id",
        "attempt_id",
        "conversation_id",
        "turn",
        "user_id",
        "principal",
        "status",
        "answer_digest",
        "history_digest",
        "parent_interaction_id",
        "version",
        "at",
        "accepted_at",
        "parent",
        "parent_how",
        "crossed",
        "event_id",
    )
]
ASK = [
    feedback.c[name]
    for name in (
        "tenant",
        "event_id",
        "kind",
        "interaction_id",
        "attempt_id",
        "conversation_id",
        "turn",
        "answer_digest",
        "user_id",
        "principal",
        "at",
        "accepted_at",
        "state",
        "how",
        "cause",
        "target_interaction",
        "target_attempt",
        "repeat_key",
        "facts",
        "topic",
        "part",
    )
]


@dataclass
class Dirty:
    """What a batch touched. owns: the sets that one batch fills."""

    #: Rows of interactions that came or went.
    answers: list[Mapping[str, Any]] = field(default_factory=list)
    #: (tenant, event id) of feedback that came.
    asks: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class Moved:
    """A feedback that became, or ceased to be, a dead letter FOREIGN_TARGET. delta: +1 or -1 dead letters."""

    topic: str
    part: int
    delta: int


def answer_of(row: Mapping[str, Any]) -> Answer:
    return Answer(**{name: row[name] for name in Answer.__dataclass_fields__})


def ask_of(row: Mapping[str, Any]) -> Ask:
    return Ask(**{name: row[name] for name in Ask.__dataclass_fields__})


def relink(connection: Connection, dirty: Dirty, rules: Rules) -> Sequence[Moved]:
    """Brings links and threads up to date; answers what moved into or out of the dead letters."""
    tenants = {row["tenant"] for row in dirty.answers} | {tenant for tenant, _ in dirty.asks}
    moved: list[Moved] = []
    for tenant in sorted(tenants):
        answers = [row for row in dirty.answers if row["tenant"] == tenant]
        _rethread(connection, tenant, answers)
        asks = touched(connection, tenant, answers, {event for t, event in dirty.asks if t == tenant}, rules)
        moved += _link(connection, tenant, asks, {row["interaction_id"] for row in answers}, rules)
    return moved


def _rethread(connection: Connection, tenant: str, changed: Sequence[Mapping[str, Any]]) -> None:
    conversations = {row["conversation_id"] for row in changed} - {""}
    grouped: dict[str, list[Any]] = defaultdict(list)
    for part in chunks(sorted(conversations)):
        query = select(*LIGHT).where(interactions.c.tenant == tenant, interactions.c.conversation_id.in_(part))
        for row in dialect.named(connection.execute(query)):
            grouped[row["conversation_id"]].append(row)
    loose = {r["event_id"]: r for r in changed if not r["conversation_id"]}
    names = {row["interaction_id"] for row in changed}
    events: dict[str, set[str]] = defaultdict(set)
    for row in changed:
        events[row["conversation_id"]].add(row["event_id"])
    updates = []
    for rows in (*grouped.values(), *([r] for r in loose.values())):
        threads = joins.thread(map(answer_of, rows))
        if any(row["crossed"] or row["parent_how"] == "digest" for row in rows):
            threads = _kept(connection, threads, rows, names, events[rows[0]["conversation_id"]])
        for row in rows:
            new = threads[answer_of(row).key]
            if (row["parent"], row["parent_how"], row["crossed"]) != (new.parent, new.how, new.crossed):
                place = {"t": tenant, "e": row["event_id"], "d": row["accepted_at"]}
                updates.append(place | {"parent": new.parent, "parent_how": new.how, "crossed": new.crossed})
    if updates:
        connection.execute(update(interactions).where(_one(interactions)), updates)


def _kept(
    connection: Connection, threads: dict[str, Thread], rows: Sequence[Any], names: set[str], events: set[str]
) -> dict[str, Thread]:
    """Threads in which turns that retention dropped still count for those that were joined before (NOTES.md). names:
    interactions that came or went; events: those of this conversation."""
    out = dict(threads)
    here = {row["interaction_id"] for row in rows}
    for row in rows:
        parent = row["parent"]
        if row["parent_how"] == "digest" and parent not in here and parent not in names:
            key = answer_of(row).key
            out[key] = replace(out[key], parent=parent, how="digest")
    crossed = [row for row in rows if row["crossed"]]
    if crossed and events <= {row["event_id"] for row in rows} and read_meta(connection, "floor"):
        order = "turn" if all(row["turn"] > 0 for row in rows) else "at"
        since = min(row[order] for row in crossed)
        for row in rows:
            if row["crossed"] or (row["version"] and row[order] > since):
                key = answer_of(row).key
                out[key] = replace(out[key], crossed=True)
    return out


def touched(
    connection: Connection, tenant: str, answers: Sequence[Mapping[str, Any]], asks: set[str], rules: Rules
) -> list[Any]:
    """Feedback that is new, or that may be about an answer that came or went."""
    found: dict[str, Any] = {}

    def look(column: ColumnElement[Any], values: Iterable[Any], *also: ColumnElement[bool]) -> None:
        for part in chunks(sorted(set(values))):
            query = select(*ASK).where(feedback.c.tenant == tenant, column.in_(part), *also)
            found.update((row["event_id"], row) for row in connection.execute(query).mappings())

    look(feedback.c.event_id, asks)
    if answers:
        look(feedback.c.interaction_id, (row["interaction_id"] for row in answers))
        look(
            feedback.c.conversation_id,
            {row["conversation_id"] for row in answers if row["turn"] > 0} - {""},
            feedback.c.turn > 0,
        )
        earliest = min(row["at"] for row in answers)
        latest = max(row["at"] for row in answers) + micros(rules.history_s)
        look(
            feedback.c.answer_digest,
            {row["answer_digest"] for row in answers} - {""},
            feedback.c.at.between(earliest, latest),
        )
    return list(found.values())


def _link(connection: Connection, tenant: str, asks: Sequence[Any], changed: set[str], rules: Rules) -> Iterable[Moved]:
    """changed: interactions with attempts that came or went."""
    pool = Pool(connection, tenant, asks)
    updates, moved, differ = [], [], []
    for row in asks:
        ask = ask_of(row)
        link = joins.resolve(ask, pool.answers(ask, rules), rules)
        new = link_columns(ask, link, json.loads(row["facts"]))
        if any(row[name] != value for name, value in new.items()):
            differ.append((row, link, new))
    # An answer that is neither there nor went just now was dropped by retention: what is about it stays so.
    old = {row["target_interaction"] for row, _, _ in differ} - changed - {""}
    there = find(connection, interactions, tenant, interactions.c.interaction_id, old, columns=LIGHT)
    dropped = old - {answer["interaction_id"] for answer in there}
    for row, link, new in differ:
        if row["target_interaction"] not in dropped:
            updates.append({"t": tenant, "e": row["event_id"], "d": row["accepted_at"], **new})
            was, now = row["state"] == "foreign", link.state == "foreign"
            if was != now:
                moved.append(Moved(row["topic"], row["part"], 1 if now else -1))
    if updates:
        connection.execute(update(feedback).where(_one(feedback)), updates)
    number_joined(connection, tenant, [u["e"] for u in updates if u["state"] == "joined"])
    return moved


def _one(table: Table) -> ColumnElement[bool]:
    """One event, with the moment that names its partition."""
    names = (("tenant", "t"), ("event_id", "e"), ("accepted_at", "d"))
    return and_(*(table.c[column] == bindparam(parameter) for column, parameter in names))


def link_columns(ask: Ask, link: Link, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The joined columns of a feedback row. facts: its canonical form without words."""
    said = facts.get(ask.kind, {})
    key = joins.repeat_key(ask, link, said.get("name", ""), said.get("other_interaction_id", ""))
    return {
        "state": link.state,
        "how": link.how,
        "cause": link.cause,
        "target_interaction": link.interaction_id,
        "target_attempt": link.attempt_id,
        "repeat_key": key,
    }


class Pool:
    """The answers that a set of feedback may be about. owns: what it read at construction.

    visible: which interactions count, as a condition; all by default (a window passes its cut).
    """

    def __init__(
        self, connection: Connection, tenant: str, asks: Sequence[Mapping[str, Any]], *visible: ColumnElement[bool]
    ) -> None:
        self._connection, self._tenant, self._visible = connection, tenant, visible
        self._named: dict[str, list[Answer]] = defaultdict(list)
        self._placed: dict[tuple[str, int], list[Answer]] = defaultdict(list)
        names = {row["interaction_id"] for row in asks} - {""}
        for row in find(
            connection, interactions, tenant, interactions.c.interaction_id, names, *visible, columns=LIGHT
        ):
            self._named[row["interaction_id"]].append(answer_of(row))
        places = {row["conversation_id"] for row in asks if row["turn"] > 0 and not row["interaction_id"]} - {""}
        for row in find(
            connection, interactions, tenant, interactions.c.conversation_id, places, *visible, columns=LIGHT
        ):
            self._placed[row["conversation_id"], row["turn"]].append(answer_of(row))

    def answers(self, ask: Ask, rules: Rules) -> Sequence[Answer]:
        """All that one feedback could be about."""
        if ask.interaction_id:
            return self._named[ask.interaction_id]
        placed = self._placed[ask.conversation_id, ask.turn] if ask.conversation_id and ask.turn > 0 else []
        if placed or not ask.answer_digest:
            return placed
        who = interactions.c.user_id == ask.user_id if ask.user_id else interactions.c.principal == ask.principal
        where = interactions.c.conversation_id.in_(["", ask.conversation_id]) if ask.conversation_id else true()
        query = (
            select(*LIGHT)
            .where(
                interactions.c.tenant == self._tenant,
                interactions.c.answer_digest == ask.answer_digest,
                interactions.c.at.between(ask.at - micros(rules.history_s), ask.at),
                who,
                where,
                *self._visible,
            )
            .order_by(interactions.c.at.desc(), interactions.c.interaction_id, interactions.c.attempt_id)
            .limit(SAID_LIMIT)
        )
        return [answer_of(row) for row in dialect.named(self._connection.execute(query))]
