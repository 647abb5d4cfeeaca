"""From one id to everything behind it and after it, without a user's word.

behind: feedback ← signals; answer ← version ← the round that made it, its data set ← that round's window ← the events
in it.
after: answer → feedback → signals → windows → rounds → versions. An erasure's ticket leads to its stores, and to the
rounds and versions that had used what it took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, func, or_, select

from rejoinder.core.errors import NotFound
from rejoinder.ledger.erasure import owed, rawcopies
from rejoinder.ledger.erasure.erase import BACKUPS, FILES, LOG
from rejoinder.ledger.intake.joins import WAITING
from rejoinder.ledger.reading.queries import as_of
from rejoinder.ledger.settings import LedgerSettings
from rejoinder.ledger.stores import dialect
from rejoinder.ledger.stores.rows import micros
from rejoinder.ledger.stores.schema import (
    DAY,
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
from rejoinder.ledger.stores.store import Store

#: Most nodes of one kind in one trace, and most ids that one node came from; a version may have served millions of
#: answers.
MOST = 200
_EPOCH = date(1970, 1, 1).toordinal()


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


def trace(store: Store, settings: LedgerSettings, tenant: str, name: str, now: float) -> Sequence[TraceNode]:
    """Every node around an interaction, event, version, round (`<version>` or `<policy>#<number>`) or ticket.

    Raises NotFound.
    """
    with store.reading() as connection:
        nodes = _Tracer(connection, settings, tenant, now, store.database.keeps_a_log).around(name)
    if not nodes:
        raise NotFound("nothing here has this id", id=name)
    return nodes


class _Tracer:
    """owns: the nodes found so far, in the order they were found."""

    def __init__(
        self, connection: Connection, settings: LedgerSettings, tenant: str, now: float, keeps_a_log: bool
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._tenant = tenant
        self._now = now
        self._keeps_a_log = keeps_a_log
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
        return dialect.named(self._connection.execute(query))

    def _all(self, table: Table, *where: ColumnElement[bool]) -> Sequence[Mapping[str, Any]]:
        return dialect.named(self._connection.execute(select(table).where(*where).limit(MOST)))

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

    def _backups(self, ticket: str) -> TraceNode:
        """What we cannot reach: pending until so long after the last that was taken out of the ledger."""
        kept = self._settings.backups_s
        if kept is None:
            return TraceNode("store", BACKUPS, state="pending", facts={"ends_at": "unknown"}, sources=(ticket,))
        own = select(func.max(erasure_stores.c.at)).where(
            erasure_stores.c.ticket == ticket, erasure_stores.c.store.not_in([LOG])
        )
        ends = (self._connection.execute(own).scalar() or 0) / 1_000_000 + kept
        state = "done" if ends <= self._now else "pending"
        return TraceNode("store", BACKUPS, state=state, facts={"ends_at": str(ends)}, sources=(ticket,))

    def _left(self) -> Mapping[str, str]:
        """Days whose files are too large to be written anew, and when retention ends the last of them."""
        days = owed.left(self._connection)
        if not days:
            return {}
        kept, last = self._settings.retention_s, max(day for _, day in days) + 1
        ends = "unknown" if kept is None else str(last * DAY / 1_000_000 + kept)
        return {"left": ", ".join(f"{table} {date.fromordinal(_EPOCH + day)}" for table, day in days), "ends_at": ends}

    def _window(self, loop: str, number: int) -> None:
        for row in self._all(windows, windows.c.loop == loop, windows.c.number == number):
            count = select(func.count()).where(window_rows.c.loop == loop, window_rows.c.number == number)
            redacted = self._connection.execute(count.where(window_rows.c.redacted_by.is_not(None))).scalar_one()
            total = self._connection.execute(count).scalar_one()
            facts = {"policy": row["policy"], "rows": str(total), "redacted": str(redacted)}
            state = "redacted" if redacted else "stored"
            events, unlisted = self._events_in(loop, number)
            node = TraceNode(
                "window", f"{loop}#{number}", row["digest"], state, row["as_of"] / 1_000_000, facts | unlisted, events
            )
            if self._add(node):
                # A loop bears the name of the policy that it makes; its windows may be of all policies' answers.
                self._rounds(rounds.c.policy.in_([loop, row["policy"]]), rounds.c.number == number)

    def _events_in(self, loop: str, number: int) -> tuple[tuple[str, ...], dict[str, str]]:
        """The tenant's own events in a window: ids, MOST at most, and how many more there are."""
        mine = (window_rows.c.loop == loop, window_rows.c.number == number, window_rows.c.tenant == self._tenant)
        ids = select(window_rows.c.evidence_id).where(*mine).order_by(window_rows.c.evidence_id)
        total = self._connection.execute(select(func.count()).where(*mine)).scalar_one()
        return first(self._connection.execute(ids.limit(MOST)).scalars().all(), total)

    def _rounds(self, *where: ColumnElement[bool]) -> None:
        for row in self._all(rounds, *where):
            name = f"{row['policy']}#{row['number']}"
            facts = {"stage": row["stage"], "version": row["version"]}
            # By its name too: whoever holds a manifest against the trace looks for the data set's digest.
            facts |= {"dataset_digest": row["digest"]} if row["stage"] == "pairs" else {}
            node = TraceNode(
                "round", f"{name}/{row['stage']}", row["digest"], "stored", row["at"] / 1_000_000, facts, (name,)
            )
            if self._add(node):
                if row["version"]:
                    self._version(row["version"])
                self._windows_of(row["policy"], row["number"])
                self._rounds(rounds.c.policy == row["policy"], rounds.c.number == row["number"])

    def _round(self, name: str) -> None:
        policy, hash_, number = name.rpartition("#")
        if hash_ and number.isdecimal() and len(number) < 10:
            self._rounds(rounds.c.policy == policy, rounds.c.number == int(number))
            self._windows_of(policy, int(number))

    def _windows_of(self, policy: str, number: int) -> None:
        named = or_(windows.c.policy == policy, windows.c.loop == policy)
        for row in self._all(windows, named, windows.c.number == number):
            self._window(row["loop"], row["number"])

    def _version(self, version: str) -> None:
        if not version or ("version", version) in self._nodes:
            return
        served = self._connection.execute(
            select(func.count()).where(interactions.c.tenant == self._tenant, interactions.c.version == version)
        ).scalar_one()
        made = self._all(rounds, rounds.c.version == version)
        if served or made:
            digest, facts = self._made_of(made)
            self._add(TraceNode("version", version, digest, facts={"interactions": str(served)} | facts))
            self._rounds(rounds.c.version == version)

    def _made_of(self, made: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, str]]:
        """A version's own digest and what its round says it was made of; nothing for one that no round made."""
        if not made:
            return "", {}
        policy, number = made[-1]["policy"], made[-1]["number"]
        stages = select(rounds.c.stage, rounds.c.digest).where(rounds.c.policy == policy, rounds.c.number == number)
        rows = self._connection.execute(stages.order_by(rounds.c.accepted_at))
        digests = {row.stage: row.digest for row in rows}
        facts = {"round": f"{policy}#{number}"}
        facts |= {"dataset_digest": digests["pairs"]} if "pairs" in digests else {}
        return digests.get("export", ""), facts

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
            over = at + row["grace"] / 1_000_000
            raw = rawcopies.ends_at(self._connection, self._settings.forgetting, row["subject"], over)
            facts = {"grace_s": str(row["grace"] / 1_000_000), "raw_copy_ends_at": str(raw)}
            self._add(TraceNode("erasure", ticket, "", "stored", at, facts))
            for store in self._all(erasure_stores, erasure_stores.c.ticket == ticket):
                moment = store["at"] / 1_000_000
                facts = {"ends_at": str(raw)} if store["store"] == LOG else {"removed": str(store["removed"])}
                if store["store"] == FILES and store["state"] != "done":
                    facts |= self._left()
                self._add(TraceNode("store", store["store"], "", store["state"], moment, facts, (ticket,)))
            if self._keeps_a_log or self._settings.backups_s is not None:
                self._add(self._backups(ticket))
            used = select(window_rows.c.loop, window_rows.c.number).where(window_rows.c.redacted_by == ticket)
            for loop, number in self._connection.execute(used.distinct()).all():
                self._window(loop, number)


def first(ids: Sequence[str], total: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """As many ids as a node lists, and the fact `unlisted`: how many of `total` it does not."""
    listed = tuple(ids[:MOST])
    return listed, {"unlisted": str(total - len(listed))} if total > len(listed) else {}


def _place(row: Mapping[str, Any], prefix: str) -> str:
    return f"{row[f'{prefix}topic']}/{row[f'{prefix}part']}/{row[f'{prefix}pos']}"


def _event(
    kind: str, row: Mapping[str, Any], state: str, facts: Mapping[str, str], sources: tuple[str, ...]
) -> TraceNode:
    where = {"place": _place(row, "")}
    at = row["at"] / 1_000_000
    return TraceNode(kind, row["event_id"], row["body_digest"], state, at, {**where, **facts}, sources)
