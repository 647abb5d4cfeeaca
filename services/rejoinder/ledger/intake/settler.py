"""Puts records where they belong in one transaction: stored, set aside or dropped, each counted once.

The common case (an id never seen) is a bulk insert. A copy above the stored record is set aside. Anything else, a copy
*below* it or an erasure, takes the whole group of that id out, drops what is erased, and puts it back by the rule of
settle.py: so the outcome depends on the set of records alone. A second rule follows on the winners: of the events that
claim one attempt of an interaction, the lowest is stored and the others are conflicts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update

from rejoinder.ledger.erasure.marks import Marks, Remains
from rejoinder.ledger.intake.linker import Dirty, Moved
from rejoinder.ledger.intake.settle import counted_as, settle
from rejoinder.ledger.settings import DAY_S, LedgerSettings
from rejoinder.ledger.stores import dialect, rows
from rejoinder.ledger.stores.rows import Arrived, Place
from rejoinder.ledger.stores.schema import (
    EVENTS,
    attempts,
    erased_records,
    interactions,
    joined,
    parity,
    seen,
    set_aside,
)
from rejoinder.ledger.stores.store import find

Id = tuple[str, str]
CONFLICT = "EVENT_ID_CONFLICT"


class Settler:
    """One transaction's work. owns: the counters, the dirty sets, the marks and what erasure took."""

    def __init__(self, connection: Connection, settings: LedgerSettings) -> None:
        self.dirty = Dirty()
        self.remains: list[Remains] = []
        self._connection = connection
        self._settings = settings
        self.marks = Marks(connection, settings.forgetting.key)
        self._counts: Counter[tuple[str, int, str]] = Counter()

    def take(self, arrivals: Sequence[Arrived]) -> None:
        """Records read now, each for the first time."""
        for arrived in arrivals:
            self._count(arrived.place, "read")
        erased = self.marks.erased([a for a in arrivals if a.reason in ("", rows.FOREIGN)])
        aside: list[rows.Row] = []
        limit = rows.micros(self._settings.rules.dedupe_s - DAY_S)
        alive: dict[Id, list[Arrived]] = defaultdict(list)
        for arrived in arrivals:
            if arrived.place in erased:
                self._bury(arrived, erased[arrived.place])
            elif arrived.reason:
                aside.append(self._aside(arrived, "dead_lettered", arrived.reason))
            elif arrived.record_at - arrived.accepted_at > limit:
                aside.append(self._aside(arrived, "expired", "EXPIRED"))
            else:
                alive[arrived.tenant, arrived.event_id].append(arrived)
        self._settle_new(alive, aside)

    def _settle_new(self, alive: Mapping[Id, list[Arrived]], aside: list[rows.Row]) -> None:
        known = self._seen(alive)
        fresh: list[Arrived] = []
        again: list[tuple[Id, list[Arrived]]] = []
        for key, copies in alive.items():
            first = known.get(key)
            if first is None:
                winner, others = settle(copies)
                fresh.append(winner)
                aside += [self._copy(copy, counted, winner.place) for copy, counted in others]
            elif min(c.place for c in copies) > place_of(first):
                place = place_of(first)
                aside += [self._copy(c, counted_as(place, first["body_digest"], c), place) for c in copies]
            else:
                again.append((key, copies))
        if aside:
            dialect.put(self._connection, insert(set_aside), aside)
        self._store(fresh)
        for (tenant, event_id), copies in again:
            self.resettle(tenant, event_id, copies)

    def _seen(self, ids: Iterable[Id]) -> Mapping[Id, Any]:
        by_tenant: dict[str, list[str]] = defaultdict(list)
        for tenant, event_id in ids:
            by_tenant[tenant].append(event_id)
        return {
            (tenant, row["event_id"]): row
            for tenant, events in by_tenant.items()
            for row in find(self._connection, seen, tenant, seen.c.event_id, events)
        }

    def _store(self, winners: Sequence[Arrived]) -> None:
        """Events whose ids are new, in bulk; those that claim a taken attempt, one by one."""
        if not winners:
            return
        expires = rows.micros(self._settings.rules.dedupe_s)
        dialect.put(
            self._connection,
            dialect.insert_or_replace(self._connection, seen),
            [
                dict(zip(("tenant", "event_id", "body_digest", "topic", "part", "pos", "expires"), values, strict=True))
                for values in (
                    (w.tenant, w.event_id, w.body_digest, *w.place, w.accepted_at + expires) for w in winners
                )
            ],
        )
        by_topic: dict[str, list[Arrived]] = defaultdict(list)
        for winner in winners:
            by_topic[winner.kind].append(winner)
        claims = self._claims(by_topic.pop("interactions", []))
        by_topic["interactions"] = [w for claim, found in claims.items() if claim[2] and len(found) == 1 for w in found]
        for topic, events in by_topic.items():
            self._insert(topic, events)
        for (tenant, key, free), found in claims.items():
            if not free or len(found) > 1:
                self._settle_attempt(tenant, key, found)

    def _claims(self, winners: Sequence[Arrived]) -> Mapping[tuple[str, str, bool], list[Arrived]]:
        """Interactions by the attempt that they claim; the flag says that nobody has it yet."""
        wanted: dict[str, dict[str, list[Arrived]]] = defaultdict(lambda: defaultdict(list))
        for winner in winners:
            wanted[winner.tenant][winner.attempt_key].append(winner)
        out: dict[tuple[str, str, bool], list[Arrived]] = {}
        for tenant, claims in wanted.items():
            ids = {w.event.interaction_id for found in claims.values() for w in found}
            found = find(self._connection, attempts, tenant, attempts.c.interaction_id, ids)
            taken = {rows.attempt_key(row["interaction_id"], row["attempt_id"]) for row in found}
            out |= {(tenant, key, key not in taken): arrivals for key, arrivals in claims.items()}
        return out

    def _insert(self, topic: str, events: Sequence[Arrived]) -> None:
        if not events:
            return
        new = [rows.to_row(event) for event in events]
        dialect.put(self._connection, insert(EVENTS[topic]), new)
        for event in events:
            self._count(event.place, "stored")
        if topic == "interactions":
            dialect.put(self._connection, insert(attempts), [{n: row[n] for n in _ATTEMPT} for row in new])
            self.dirty.answers += new
        elif topic == "feedback":
            self.dirty.asks |= {(event.tenant, event.event_id) for event in events}

    def resettle(self, tenant: str, event_id: str, extra: Sequence[Arrived] = ()) -> None:
        """Takes the group of an id out, drops what is erased, and puts the rest back by the rule."""
        copies = [*extra, *self._take_out(tenant, event_id)]
        erased = self.marks.erased(copies)
        for copy in copies:
            if copy.place in erased:
                self._bury(copy, erased[copy.place])
        left = [copy for copy in copies if copy.place not in erased]
        if not left:
            self._connection.execute(delete(seen).where(seen.c.tenant == tenant, seen.c.event_id == event_id))
            return
        winner, others = settle(left)
        if others:
            self._connection.execute(insert(set_aside), [self._copy(c, how, winner.place) for c, how in others])
        self._store([winner])

    def _take_out(self, tenant: str, event_id: str) -> list[Arrived]:
        out: list[Arrived] = []
        for topic, table in EVENTS.items():
            mine = and_(table.c.tenant == tenant, table.c.event_id == event_id)
            for row in dialect.named(self._connection.execute(select(table).where(mine))):
                self._connection.execute(delete(table).where(mine))
                out.append(rows.arrived_of(topic, row))
                self._uncount_stored(topic, row)
        group = and_(
            set_aside.c.tenant == tenant,
            set_aside.c.event_id == event_id,
            set_aside.c.counted.in_(["duplicate", "conflict"]),
        )
        for row in dialect.named(self._connection.execute(select(set_aside).where(group))):
            out.append(rows.arrived_aside(row, self._settings.forgetting.key))
            self._count(place_of(row), row["counted"], -1)
        self._connection.execute(delete(set_aside).where(group))
        return out

    def _uncount_stored(self, topic: str, row: Mapping[str, Any]) -> None:
        foreign = topic == "feedback" and row["state"] == "foreign"
        self._count(place_of(row), "dead_lettered" if foreign else "stored", -1)
        if topic == "feedback":
            mine = and_(joined.c.tenant == row["tenant"], joined.c.event_id == row["event_id"])
            self._connection.execute(delete(joined).where(mine))
        if topic == "interactions":
            self.dirty.answers.append(row)
            self._settle_attempt(row["tenant"], rows.attempt_key(row["interaction_id"], row["attempt_id"]), [])

    def _settle_attempt(self, tenant: str, key: str, new: Sequence[Arrived]) -> None:
        """Of all events that claim an attempt, the lowest is stored; the others stand aside as conflicts."""
        interaction_id, attempt_id = rows.attempt_of(key)
        stored, held = (
            and_(
                table.c.tenant == tenant,
                table.c.interaction_id == interaction_id,
                table.c.attempt_id == attempt_id,
            )
            for table in (interactions, attempts)
        )
        aside = and_(set_aside.c.tenant == tenant, set_aside.c.attempt_key == key, set_aside.c.shadowed)
        claims = list(new)
        for row in dialect.named(self._connection.execute(select(interactions).where(stored))):
            claims.append(rows.arrived_of("interactions", row))
            self._count(place_of(row), "stored", -1)
            self.dirty.answers.append(row)
        for row in dialect.named(self._connection.execute(select(set_aside).where(aside))):
            claims.append(rows.arrived_aside(row, self._settings.forgetting.key))
            self._count(place_of(row), row["counted"], -1)
        self._connection.execute(delete(interactions).where(stored))
        self._connection.execute(delete(attempts).where(held))
        self._connection.execute(delete(set_aside).where(aside))
        if not claims:
            return
        winner, *others = sorted(claims, key=lambda claim: claim.place)
        self._insert("interactions", [winner])
        if others:
            shadows = [self._aside(o, "conflict", CONFLICT, winner.place) | {"shadowed": True} for o in others]
            self._connection.execute(insert(set_aside), shadows)

    def resettle_expired(self, aside: Sequence[Mapping[str, Any]]) -> None:
        """Drops those of these EXPIRED records that are erased."""
        copies = [rows.arrived_aside(row, self._settings.forgetting.key) for row in aside]
        erased = self.marks.erased(copies)
        for row, copy in zip(aside, copies, strict=True):
            if copy.place in erased:
                self.drop_aside(row, erased[copy.place])

    def led_on(self) -> bool:
        """Whether marks left since this was asked last are ones that other marks lead to."""
        found, self.marks.led_on = self.marks.led_on, False
        return found

    def drop_aside(self, row: Mapping[str, Any], subject: str) -> None:
        """Drops a dead letter that belongs to no group (EXPIRED) for an erasure."""
        self._connection.execute(
            delete(set_aside).where(
                set_aside.c.topic == row["topic"], set_aside.c.part == row["part"], set_aside.c.pos == row["pos"]
            )
        )
        self._count(place_of(row), row["counted"], -1)
        self._bury(rows.arrived_aside(row, self._settings.forgetting.key), subject)

    def _bury(self, arrived: Arrived, subject: str) -> None:
        self._count(arrived.place, "erased")
        topic, part, pos = arrived.place
        self._connection.execute(insert(erased_records), [{"topic": topic, "part": part, "pos": pos}])
        self.remains.append(self.marks.bury(arrived, subject))

    def _copy(self, copy: Arrived, counted: str, winner: Place) -> rows.Row:
        return self._aside(copy, counted, CONFLICT if counted == "conflict" else "", winner)

    def _aside(self, arrived: Arrived, counted: str, reason: str, other: Place = ("", 0, 0)) -> rows.Row:
        self._count(arrived.place, counted)
        return {
            **dict(zip(("topic", "part", "pos"), arrived.place, strict=True)),
            "counted": counted,
            "reason": reason,
            "tenant": arrived.tenant,
            "event_id": arrived.event_id,
            "body_digest": arrived.body_digest,
            "accepted_at": arrived.accepted_at,
            "record_at": arrived.record_at,
            "subject": arrived.subject,
            "attempt_key": arrived.attempt_key,
            "shadowed": False,
            **dict(zip(("other_topic", "other_part", "other_pos"), other, strict=True)),
            "value": arrived.value,
        }

    def moved(self, moves: Iterable[Moved]) -> None:
        """Feedback that became a dead letter by what joined it, or ceased to be one."""
        for move in moves:
            self._counts[move.topic, move.part, "dead_lettered"] += move.delta
            self._counts[move.topic, move.part, "stored"] -= move.delta

    def take_erasure(self, place: Place, first: Place | None) -> None:
        """A record of the erasures topic. first: where the ticket was recorded so far."""
        self._count(place, "read")
        if first is not None and place < first:
            self._count(first, "stored", -1)
            self._count(first, "duplicate")
        self._count(place, "stored" if first is None or place < first else "duplicate")

    def _count(self, place: Place, name: str, delta: int = 1) -> None:
        self._counts[place[0], place[1], name] += delta

    def flush(self) -> None:
        """Adds the counters of this transaction to the durable ones."""
        changes: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for (topic, part, name), delta in self._counts.items():
            changes[topic, part][name] = delta
        for (topic, part), deltas in changes.items():
            row = {"topic": topic, "part": part, **dict.fromkeys(_COUNTERS, 0)}
            self._connection.execute(dialect.insert_or_keep(self._connection, parity), [row])
            self._connection.execute(
                update(parity)
                .where(parity.c.topic == topic, parity.c.part == part)
                .values({name: parity.c[name] + delta for name, delta in deltas.items()})
            )
        self._counts.clear()


_ATTEMPT = tuple(column.name for column in attempts.columns)
_COUNTERS = ("read", "stored", "duplicate", "conflict", "dead_lettered", "erased", "expired")


def place_of(row: Mapping[str, Any]) -> Place:
    return row["topic"], row["part"], row["pos"]
