"""The ledger as it was known at a cut: stored rows before the cut, and *ghosts*.

A ghost is a copy that was the event of its id, or the holder of its attempt, as far as the records before the cut tell,
though a record behind the cut has taken its place since. There are next to none; without them a window would depend on
what came after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, not_, select

from rejoinder.core.audit import is_second
from rejoinder.ledger.intake.joins import Answer, Ask
from rejoinder.ledger.intake.linker import Pool, answer_of
from rejoinder.ledger.intake.settle import settle
from rejoinder.ledger.reading.cut import Cut
from rejoinder.ledger.settings import Rules
from rejoinder.ledger.stores import dialect, rows
from rejoinder.ledger.stores.rows import Row
from rejoinder.ledger.stores.schema import EVENTS, feedback, interactions, set_aside, signals
from rejoinder.ledger.stores.store import find

Ghosts = Mapping[str, Sequence[Row]]


def ghosts_at(connection: Connection, cut: Cut, key: bytes) -> Ghosts:
    """Per topic, the rows that stood at the cut where another record stands now. key: the erasure key."""
    query = select(set_aside).where(
        set_aside.c.counted.in_(["duplicate", "conflict"]),
        cut.before(set_aside),
        not_(cut.before(set_aside, "other_")),
    )
    groups: dict[tuple[str, str, bool], list[rows.Arrived]] = defaultdict(list)
    for row in dialect.named(connection.execute(query)):
        name = row["attempt_key"] if row["shadowed"] else row["event_id"]
        groups[row["tenant"], name, row["shadowed"]].append(rows.arrived_aside(row, key))
    out: dict[str, list[Row]] = {topic: [] for topic in EVENTS}
    for copies in groups.values():
        winner, _ = settle(copies)
        out[winner.kind].append(rows.to_row(winner))
    return out


class View:
    """owns: nothing; reads through one short transaction's connection."""

    def __init__(self, connection: Connection, cut: Cut, ghosts: Ghosts) -> None:
        self._connection = connection
        self._cut = cut
        self._ghosts = ghosts

    def feedback(self, tenant: str, column: str, values: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        """Feedback before the cut whose column is one of the values."""
        return self._find("feedback", tenant, column, values)

    def signals(self, tenant: str, sources: Iterable[str]) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Signals before the cut by their source event, but for second judges': those are evidence of nothing."""
        out: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._find("signals", tenant, "source_event_id", sources):
            if not is_second(row["extractor"]):
                out[row["source_event_id"]].append(row)
        return out

    def attempts(self, tenant: str, ids: Iterable[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """Interactions before the cut: interaction id → attempt id → row."""
        out: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for row in self._find("interactions", tenant, "interaction_id", ids):
            out[row["interaction_id"]].setdefault(row["attempt_id"], row)
        return out

    def answers(self, tenant: str, asks: Sequence[Mapping[str, Any]]) -> Answers:
        """What the given feedback could be about, as far as the cut tells."""
        pool = Pool(self._connection, tenant, asks, self._cut.before(interactions))
        return Answers(pool, [answer_of(row) for row in self._ghosts["interactions"] if row["tenant"] == tenant])

    def _find(self, topic: str, tenant: str, column: str, values: Iterable[str]) -> Sequence[Mapping[str, Any]]:
        wanted = set(values) - {""}
        table = {"feedback": feedback, "signals": signals, "interactions": interactions}[topic]
        found = find(self._connection, table, tenant, table.c[column], wanted, self._cut.before(table))
        more = [row for row in self._ghosts[topic] if row["tenant"] == tenant and row[column] in wanted]
        return [*found, *more]


class Answers:
    """A pool and the ghosts beside it. owns: nothing."""

    def __init__(self, pool: Pool, ghosts: Sequence[Answer]) -> None:
        self._pool = pool
        self._ghosts = ghosts

    def of(self, ask: Ask, rules: Rules) -> Sequence[Answer]:
        found = {answer.key: answer for answer in (*self._ghosts, *self._pool.answers(ask, rules))}
        return list(found.values())
