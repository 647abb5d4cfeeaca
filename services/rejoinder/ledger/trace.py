"""From one id to everything behind it and after it, without a user's word.

behind: feedback ← signals; answer ← version ← the round that made it ← that round's window.
after: answer → feedback → signals → windows → rounds → versions. An erasure's ticket leads to its stores, and to the
rounds and versions that had used what it took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from rejoinder.core.errors import NotFound
from rejoinder.ledger.joins import WAITING
from rejoinder.ledger.queries import as_of
from rejoinder.ledger.rows import micros
from rejoinder.ledger.schema import (
    dead_letters,
    erasure_stores,
    erasures,
    feedback,
    interactions,
    rounds,
    set_aside,
    signals,
    window_rows,
    windows,
)
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.store import Store

#: Most nodes of one kind in one trace; a version may have served millions of answers.
MOST = 200


@dataclass(frozen=True)
class TraceNode:
    """One fact. kind: interaction | feedback | signal | dead_letter | version | round | window | erasure | store.

    at: seconds, None where it has no moment. sources: ids this came from.
    """

    kind: str
    id: str
    digest: str = ""
    state: str = ""
    at: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


def trace(store: Store, settings: LedgerSettings, tenant: str, name: str) -> Sequence[TraceNode]:
    """Every node around an interaction, event, version, round (`<version>` or `<policy>#<number>`) or ticket.

    Raises NotFound.
    """
    with store.reading() as connection:
        nodes = _Tracer(connection, settings, tenant).around(name)
    if not nodes:
        raise NotFound("nothing here has this id", id=name)
    return nodes


class _Tracer:
    """owns: the nodes found so far, in the order they were found."""

    def __init__(self, connection: Connection, settings: LedgerSettings, tenant: str) -> None:
        self._connection = connection
        self._settings = settings
        self._tenant = tenant
        self._nodes: dict[tuple[str, str], TraceNode] = {}

    def around(self, name: str) -> Sequence[TraceNode]:
        self._ticket(name)
        self._dead(name)
        self._version(name)
        self._round(name)
        for interaction in self._interactions_of(name):
            self._interaction(interaction)
        for row in self._mine(feedback, feedback.c.event_id == name):
            self._feedback(row)
            if row["target_interaction"]:
                self._interaction(row["target_interaction"])
        return list(self._nodes.values())

    def _mine(self, table: Table, *where: ColumnElement[bool]) -> Sequence[Mapping[str, Any]]:
        query = select(table).where(table.c.tenant == self._tenant, *where).limit(MOST)
        return self._connection.execute(query).mappings().all()

    def _all(self, table: Table, *where: ColumnElement[bool]) -> Sequence[Mapping[str, Any]]:
        return self._connection.execute(select(table).where(*where).limit(MOST)).mappings().all()

    def _add(self, node: TraceNode) -> bool:
        new = (node.kind, node.id) not in self._nodes
        self._nodes.setdefault((node.kind, node.id), node)
        return new

    def _interactions_of(self, name: str) -> Iterable[str]:
        named = or_(interactions.c.interaction_id == name, interactions.c.event_id == name)
        ids = {row["interaction_id"] for row in self._mine(interactions, named)}
        for row in self._mine(signals, signals.c.event_id == name):
            targets = self._mine(feedback, feedback.c.event_id == row["source_event_id"])
            ids |= {target["target_interaction"] for target in targets} or {row["interaction_id"]}
        return sorted(ids - {""})

    def _interaction(self, interaction_id: str) -> None:
        for row in self._mine(interactions, interactions.c.interaction_id == interaction_id):
            facts = {n: str(row[n]) for n in ("attempt_id", "status", "policy", "version", "arm", "source", "crossed")}
            sources = tuple(part for part in (row["parent"], row["version"]) if part)
            if self._add(_event("interaction", row, "stored", facts | {"interaction": interaction_id}, sources)):
                self._version(row["version"])
        children = self._mine(interactions, interactions.c.parent == interaction_id)
        for row in children:
            facts = {"interaction": row["interaction_id"], "attempt_id": row["attempt_id"]}
            self._add(_event("interaction", row, "stored", facts, (interaction_id,)))
        for row in self._mine(feedback, feedback.c.target_interaction == interaction_id):
            self._feedback(row)

    def _feedback(self, row: Mapping[str, Any]) -> None:
        facts = {n: row[n] for n in ("kind", "how", "cause", "target_attempt") if row[n]}
        sources = tuple(part for part in (row["target_interaction"],) if part)
        self._add(_event("feedback", row, self._state(row), facts, sources))
        ids = [row["event_id"]]
        for signal in self._mine(signals, signals.c.source_event_id == row["event_id"]):
            said = {n: str(signal[n]) for n in ("polarity", "confidence", "strength", "extractor", "extractor_version")}
            self._add(_event("signal", signal, "stored", said, (row["event_id"],)))
            ids.append(signal["event_id"])
        for line in self._mine(window_rows, window_rows.c.evidence_id.in_(ids)):
            self._window(line["loop"], line["number"])

    def _state(self, row: Mapping[str, Any]) -> str:
        if row["state"] == "foreign":
            return "dead_lettered"
        if row["state"] == "joined":
            return "stored"
        early = as_of(self._connection) - micros(self._settings.rules.parked_s)
        return "parked" if row["cause"] in WAITING and row["accepted_at"] >= early else "orphaned"

    def _window(self, loop: str, number: int) -> None:
        for row in self._all(windows, windows.c.loop == loop, windows.c.number == number):
            count = select(func.count()).where(window_rows.c.loop == loop, window_rows.c.number == number)
            redacted = self._connection.execute(count.where(window_rows.c.redacted_by.is_not(None))).scalar_one()
            total = self._connection.execute(count).scalar_one()
            facts = {"policy": row["policy"], "rows": str(total), "redacted": str(redacted)}
            state = "redacted" if redacted else "stored"
            node = TraceNode("window", f"{loop}#{number}", row["digest"], state, row["as_of"] / 1_000_000, facts)
            if self._add(node):
                self._rounds(rounds.c.policy == row["policy"], rounds.c.number == number)

    def _rounds(self, *where: ColumnElement[bool]) -> None:
        for row in self._all(rounds, *where):
            name = f"{row['policy']}#{row['number']}"
            facts = {"stage": row["stage"], "version": row["version"]}
            node = TraceNode(
                "round", f"{name}/{row['stage']}", row["digest"], "stored", row["at"] / 1_000_000, facts, (name,)
            )
            if self._add(node):
                if row["version"]:
                    self._version(row["version"])
                for line in self._all(windows, windows.c.policy == row["policy"], windows.c.number == row["number"]):
                    self._window(line["loop"], line["number"])
                self._rounds(rounds.c.policy == row["policy"], rounds.c.number == row["number"])

    def _round(self, name: str) -> None:
        policy, hash_, number = name.rpartition("#")
        if hash_ and number.isdigit():
            self._rounds(rounds.c.policy == policy, rounds.c.number == int(number))
            for row in self._all(windows, windows.c.policy == policy, windows.c.number == int(number)):
                self._window(row["loop"], row["number"])

    def _version(self, version: str) -> None:
        if not version or ("version", version) in self._nodes:
            return
        served = self._connection.execute(
            select(func.count()).where(interactions.c.tenant == self._tenant, interactions.c.version == version)
        ).scalar_one()
        made = self._all(rounds, rounds.c.version == version)
        if served or made:
            self._add(TraceNode("version", version, facts={"interactions": str(served)}))
            self._rounds(rounds.c.version == version)

    def _dead(self, name: str) -> None:
        for row in self._mine(set_aside, set_aside.c.event_id == name):
            facts = {"place": _place(row, ""), "reason": row["reason"] or "duplicate"}
            facts |= {"other": _place(row, "other_")} if row["other_topic"] else {}
            state = "dead_lettered" if row["reason"] else "duplicate"
            at = row["accepted_at"] / 1_000_000
            self._add(TraceNode("dead_letter", _place(row, ""), row["body_digest"], state, at, facts, (name,)))
        for row in self._mine(dead_letters, dead_letters.c.event_id == name):
            facts = {"reason": row["reason"], "place": _place(row, "source_")}
            self._add(_event("dead_letter", row, "dead_lettered", facts, ()))

    def _ticket(self, ticket: str) -> None:
        for row in self._all(erasures, erasures.c.ticket == ticket):
            at = row["erased_at"] / 1_000_000
            raw = at + row["grace"] / 1_000_000 + self._settings.forgetting.log_retention_s
            facts = {"grace_s": str(row["grace"] / 1_000_000), "raw_copy_ends_at": str(raw)}
            self._add(TraceNode("erasure", ticket, "", "stored", at, facts))
            for store in self._all(erasure_stores, erasure_stores.c.ticket == ticket):
                moment = store["at"] / 1_000_000
                removed = {"removed": str(store["removed"])}
                self._add(TraceNode("store", store["store"], "", store["state"], moment, removed, (ticket,)))
            used = select(window_rows.c.loop, window_rows.c.number).where(window_rows.c.redacted_by == ticket)
            for loop, number in self._connection.execute(used.distinct()).all():
                self._window(loop, number)


def _place(row: Mapping[str, Any], prefix: str) -> str:
    return f"{row[f'{prefix}topic']}/{row[f'{prefix}part']}/{row[f'{prefix}pos']}"


def _event(
    kind: str, row: Mapping[str, Any], state: str, facts: Mapping[str, str], sources: tuple[str, ...]
) -> TraceNode:
    where = {"place": _place(row, "")}
    at = row["at"] / 1_000_000
    return TraceNode(kind, row["event_id"], row["body_digest"], state, at, {**where, **facts}, sources)
