"""What the ledger answers about satisfaction, joining and parity. Reads page by page; words are never read.

Absence is not a label: an interaction nobody answered counts in `interactions` and in no mean.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, func, select

from rejoinder.core.audit import is_second
from rejoinder.core.errors import UnknownRow
from rejoinder.core.rubric import names as rubrics
from rejoinder.core.types import Polarity
from rejoinder.ledger.intake.joins import WAITING
from rejoinder.ledger.reading.labels import in_force
from rejoinder.ledger.settings import Rules
from rejoinder.ledger.stores.rows import micros
from rejoinder.ledger.stores.schema import feedback, interactions, parity, positions, signals
from rejoinder.ledger.stores.store import Store, find, pages

GROUPS = ("", "version", "arm", "reason", "extractor", "day", "source")
PAGE = 2_000
RESAMPLES = 1_000
#: Microseconds of five minutes, an hour, a day, a week, four weeks; of how many parts a curve over time has at most.
STEPS = tuple(minutes * 60_000_000 for minutes in (5, 60, 1_440, 10_080, 40_320))
MOST_STEPS = 48
PLEASED = set(rubrics(Polarity.SAT))


@dataclass(frozen=True)
class SatisfactionRow:
    """Counts of interactions; satisfaction: mean over users of their share of SAT among SAT and DSAT, with the 95 %
    bootstrap interval by user (all 0 where users is 0). Without a user id the conversation is the unit."""

    group: str
    interactions: int
    replied: int
    sat: int
    dsat: int
    none: int
    satisfaction: float
    low: float
    high: float
    users: int


@dataclass(frozen=True)
class VersionRow:
    """A version as a whole; by steps of time, whose groups are the times (UTC) at which they begin; step_s: of them,
    seconds. reasons: why answers dissatisfied, by rubric; one may have several or none."""

    whole: SatisfactionRow
    over_time: Sequence[SatisfactionRow]
    step_s: float
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class Joining:
    """joined, unlinked by cause, parked and orphaned: counts of feedback. rate: joined share, 1 when there is none.
    ambiguous: joined to an interaction, but to no attempt; left out of satisfaction, pairs and verdicts."""

    joined: int
    unlinked: Mapping[str, int]
    ambiguous: int
    foreign: int
    parked: int
    orphaned: int

    @property
    def rate(self) -> float:
        total = self.joined + sum(self.unlinked.values())
        return self.joined / total if total else 1.0


@dataclass(frozen=True)
class ParityRow:
    """read = stored + duplicate + conflict + dead_lettered + erased + expired. position: next offset to read."""

    topic: str
    partition: int
    read: int
    stored: int
    duplicate: int
    conflict: int
    dead_lettered: int
    erased: int
    expired: int
    position: int

    @property
    def balanced(self) -> bool:
        parts = (self.stored, self.duplicate, self.conflict, self.dead_lettered, self.erased, self.expired)
        return self.read == sum(parts)


@dataclass
class _Tally:
    """One group while it is counted. owns: its counters."""

    interactions: int = 0
    replied: int = 0
    polarity: Counter[str] = field(default_factory=Counter)
    #: unit → [SAT, judged]
    units: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def add(self, unit: str, replied: bool, polarity: str | None) -> None:
        self.interactions += 1
        self.replied += replied
        if polarity:
            self.polarity[polarity] += 1
        if polarity in ("SAT", "DSAT"):
            self.units[unit][0] += polarity == "SAT"
            self.units[unit][1] += 1

    def row(self, group: str, rng: np.random.Generator) -> SatisfactionRow:
        means = np.array([sat / judged for sat, judged in self.units.values()])
        mean, low, high = bootstrap(means, rng)
        sat, dsat, none = (self.polarity[name] for name in ("SAT", "DSAT", "NONE"))
        return SatisfactionRow(group, self.interactions, self.replied, sat, dsat, none, mean, low, high, len(means))


def bootstrap(means: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean and 95 % percentile interval of per-user means (shape: users); zeros for nobody."""
    if not len(means):
        return 0.0, 0.0, 0.0
    draws = np.array([means[rng.integers(0, len(means), len(means))].mean() for _ in range(RESAMPLES)])
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(means.mean()), float(low), float(high)


def satisfaction(
    store: Store,
    tenant: str,
    rng: np.random.Generator,
    group_by: str = "",
    since: float | None = None,
    until: float | None = None,
    leave_out_crossed: bool = False,
) -> Sequence[SatisfactionRow]:
    """Satisfaction by group, groups in order. since, until: seconds, half-open, of the interactions."""
    if group_by not in GROUPS:
        raise UnknownRow("group", group_by, GROUPS)
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    extractors: set[str] = set()
    spread: list[tuple[str, bool, Mapping[str, str]]] = []
    for row, replied, judged in _judged(store, tenant, since, until, leave_out_crossed):
        unit = _unit(row)
        by_extractor: dict[str, list[Any]] = defaultdict(list)
        for signal in judged:
            by_extractor[signal["extractor"]].append(signal)
        last = _word(judged)
        polarity = last["polarity"] if last else None
        if group_by == "extractor":
            extractors |= set(by_extractor)
            verdicts = {name: judgement(found) for name, found in by_extractor.items()}
            spread.append((unit, replied, {name: v["polarity"] for name, v in verdicts.items() if v}))
        elif group_by == "reason":
            for reason in _reasons(last):
                tallies[reason].add(unit, replied, polarity)
        else:
            tallies[_group(row, group_by)].add(unit, replied, polarity)
    for unit, replied, found in spread:
        for name in extractors:
            tallies[name].add(unit, replied, found.get(name))
    return [tallies[name].row(name, rng) for name in sorted(tallies)]


def versions(store: Store, tenant: str, rng: np.random.Generator) -> Sequence[VersionRow]:
    """Every version in the order in which they first answered: the newest last."""
    step = _step(store, tenant)
    whole: dict[str, _Tally] = defaultdict(_Tally)
    parts: dict[str, dict[int, _Tally]] = defaultdict(lambda: defaultdict(_Tally))
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    began: dict[str, int] = {}
    for row, replied, judged in _judged(store, tenant, None, None, False):
        version, last = row["version"], _word(judged)
        began[version] = min(row["at"], began.get(version, row["at"]))
        polarity = last["polarity"] if last else None
        for tally in (whole[version], parts[version][row["at"] // step * step]):
            tally.add(_unit(row), replied, polarity)
        if polarity == "DSAT":
            reasons[version].update(_reasons(last) - PLEASED)
    return [
        VersionRow(
            whole[version].row(version, rng),
            [tally.row(_iso(at), rng) for at, tally in sorted(parts[version].items())],
            step / 1_000_000,
            dict(sorted(reasons[version].items())),
        )
        for version in sorted(whole, key=lambda name: (began[name], name))
    ]


def _step(store: Store, tenant: str) -> int:
    """Microseconds of the finest step of time that cuts all answers into few enough parts."""
    at = interactions.c.at
    with store.reading() as connection:
        query = select(func.min(at), func.max(at)).where(interactions.c.tenant == tenant)
        first, last = connection.execute(query).one()
    return next((s for s in STEPS if ((last or 0) - (first or 0)) // s < MOST_STEPS), STEPS[-1])


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _unit(row: Mapping[str, Any]) -> str:
    return row["user_id"] or row["conversation_id"] or row["interaction_id"]


def _word(judged: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What counts of it. What a second judge says is held against the first one's word, and is none itself."""
    return judgement(in_force([s for s in judged if not is_second(s["extractor"])]))


def _group(row: Mapping[str, Any], group_by: str) -> str:
    if group_by == "day":
        return datetime.fromtimestamp(row["at"] / 1_000_000, UTC).date().isoformat()
    return row[group_by] if group_by else ""


def _reasons(signal: Mapping[str, Any] | None) -> set[str]:
    return {r["rubric"] for r in json.loads(signal["facts"]).get("reasons", ())} if signal else set()


def judgement(judged: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The signal that speaks for an interaction: the latest that says SAT or DSAT, else the latest of all."""
    ordered = sorted(judged, key=lambda s: (s["polarity"] in ("SAT", "DSAT"), s["at"], s["accepted_at"], s["event_id"]))
    return ordered[-1] if ordered else None


def _judged(
    store: Store, tenant: str, since: float | None, until: float | None, leave_out_crossed: bool
) -> Iterator[tuple[Mapping[str, Any], bool, Sequence[Any]]]:
    """Every interaction with whether anybody replied and the signals about it."""
    names = ("event_id", "interaction_id", "attempt_id", "conversation_id", "user_id", "version", "arm", "source", "at")
    where: list[ColumnElement[bool]] = [interactions.c.tenant == tenant]
    where += [interactions.c.at >= micros(since)] if since is not None else []
    where += [interactions.c.at < micros(until)] if until is not None else []
    where += [interactions.c.crossed.is_(False)] if leave_out_crossed else []
    query = select(*(interactions.c[name] for name in names)).where(*where)
    for page in pages(store, query, [interactions.c.event_id], PAGE):
        rows = [row._mapping for row in page]
        with store.reading() as connection:
            about = _about(connection, tenant, [row["interaction_id"] for row in rows])
        for row in rows:
            replied, judged = about.get((row["interaction_id"], row["attempt_id"]), (False, []))
            yield row, replied, judged


def _about(
    connection: Connection, tenant: str, ids: Sequence[str]
) -> Mapping[tuple[str, str], tuple[bool, Sequence[Any]]]:
    columns = [feedback.c[n] for n in ("event_id", "kind", "target_interaction", "target_attempt")]
    replies = find(
        connection,
        feedback,
        tenant,
        feedback.c.target_interaction,
        ids,
        feedback.c.state == "joined",
        feedback.c.cause == "",
        columns=columns,
    )
    by_source: dict[str, list[Any]] = defaultdict(list)
    for signal in find(connection, signals, tenant, signals.c.source_event_id, [r["event_id"] for r in replies]):
        by_source[signal["source_event_id"]].append(signal)
    out: dict[tuple[str, str], tuple[bool, list[Any]]] = {}
    for reply in replies:
        key = (reply["target_interaction"], reply["target_attempt"])
        replied, judged = out.get(key, (False, []))
        out[key] = (replied or reply["kind"] != "abandon", judged + by_source[reply["event_id"]])
    return out


def joining(store: Store, rules: Rules, tenant: str | None = None) -> Joining:
    """How feedback was joined; all tenants when none is named. Parked and orphaned by the latest accepted event."""
    mine: list[ColumnElement[bool]] = [feedback.c.tenant == tenant] if tenant is not None else []
    waiting = [feedback.c.state == "unlinked", feedback.c.cause.in_(sorted(WAITING))]
    with store.reading() as connection:
        states = connection.execute(
            select(feedback.c.state, feedback.c.cause, func.count())
            .where(*mine)
            .group_by(feedback.c.state, feedback.c.cause)
        ).all()
        early = as_of(connection) - micros(rules.parked_s)
        held = connection.execute(
            select(func.count())
            .where(*mine, *waiting, feedback.c.accepted_at >= early)
            .group_by(feedback.c.tenant, feedback.c.principal)
        ).scalars()
        parked = sum(min(count, rules.parked_per_principal) for count in held)
    unlinked = {cause: count for state, cause, count in states if state == "unlinked"}
    lost = sum(count for cause, count in unlinked.items() if cause in WAITING or cause == "too_late")
    return Joining(
        joined=sum(count for state, _, count in states if state == "joined"),
        unlinked=unlinked,
        ambiguous=sum(count for state, cause, count in states if state == "joined" and cause),
        foreign=sum(count for state, _, count in states if state == "foreign"),
        parked=parked,
        orphaned=lost - parked,
    )


def as_of(connection: Connection) -> int:
    """When the latest event that the ledger holds was accepted, microseconds: the ledger's own now."""
    moments = [connection.execute(select(func.max(t.c.accepted_at))).scalar() or 0 for t in (interactions, feedback)]
    return max(moments)


def parity_rows(store: Store) -> Sequence[ParityRow]:
    """The counters of every topic and partition that was read."""
    query = (
        select(parity, positions.c.next)
        .join(positions, (parity.c.topic == positions.c.topic) & (parity.c.part == positions.c.part))
        .order_by(parity.c.topic, parity.c.part)
    )
    with store.reading() as connection:
        return [ParityRow(*row) for row in connection.execute(query)]
