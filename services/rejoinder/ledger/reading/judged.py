"""What a rollout's verdict is read off: answers whose users' maturity window has closed, with the first reply that a
pinned extractor has read.

Times are record stamps (accepted_at), never a wall clock: a window closes when log, ledger and extractor have all
been read past its end. `mark` notes how far that is, `reached` says when the ledger holds it, `read_judged` reads the
answers that mature between two marks and, of the same people, what came after. No answer is looked at twice as a first
one, so a poll costs what has matured since the last. A reply that no pinned extractor reads (a copy, a click) is none;
of several the first speaks for the answer, so that a later one never changes what was counted.

Where answers are held against norms a page also ends when their time is up, at the last moment that was told whole:
whoever asks waits a few seconds only, and would ask for the same page again.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from rejoinder.core import audit, refusals
from rejoinder.core.arms import UNITS, canary_weight
from rejoinder.core.charter import MOST_NORMS, MOST_READ, Rule, Rules, Told, compiled, question_of
from rejoinder.core.errors import EmptyField, InvalidArgument
from rejoinder.core.types import ArmKind, AttemptStatus, Polarity
from rejoinder.ledger.intake.projector import Readable
from rejoinder.ledger.reading.queries import judgement
from rejoinder.ledger.stores.rows import micros
from rejoinder.ledger.stores.schema import feedback, interactions, joined, positions, readers, signals
from rejoinder.ledger.stores.store import Store, chunks, find
from rejoinder.stream.topics import of_kinds

#: Readers of evidence that publish signals; see signals/worker.py.
EXTRACTING = "signals:%"
#: What may be stamped as accepted and not yet committed to the log, in seconds: a group commit and its queue.
SLACK_S = 1.0
MAX_TURNS = 5_000
#: Seconds that norms may take of one page, and answers whose words are held at once.
NORMS_S, _HELD = 1.0, 50
JUDGED = ("interactions", "feedback", "signals")
_COLUMNS = [
    interactions.c[name]
    for name in (
        "tenant",
        "event_id",
        "user_id",
        "subject",
        "conversation_id",
        "interaction_id",
        "attempt_id",
        "accepted_at",
        "status",
        "version",
        "arm",
        "holdout",
        "forced",
        "crossed",
        "facts",
    )
]


@dataclass(frozen=True)
class Judge:
    """An extractor; a version of "" asks which one is present."""

    extractor: str = ""
    version: str = ""


@dataclass(frozen=True)
class Asked:
    """after: answers accepted later than this mature now; seconds. unit: user | conversation. limit: answers. second:
    whose readings of the audit sample are wanted; Judge() is whichever has read one of these replies last. refusals:
    whether each answer refuses is wanted. norms: what each answer is held against. Raises what is wrong with them."""

    policy: str
    after: float
    maturity_s: float
    judges: tuple[Judge, ...]
    unit: str = "user"
    limit: int = MAX_TURNS
    second: Judge | None = None
    refusals: bool = False
    norms: tuple[Rule, ...] = ()

    @property
    def rules(self) -> Rules | None:
        """The norms, ready to be asked; None without any."""
        return compiled(self.norms) if self.norms else None

    def __post_init__(self) -> None:
        if len(self.norms) > MOST_NORMS:
            raise InvalidArgument(f"norms are at most {MOST_NORMS}", field="norms")
        _ = self.rules
        if not self.policy:
            raise EmptyField("policy")
        if not self.judges or not all(judge.extractor for judge in self.judges):
            raise EmptyField("judges")
        if self.unit not in UNITS:
            raise InvalidArgument(f"unit must be one of {', '.join(UNITS)}", field="unit")
        if not self.maturity_s > 0:
            raise InvalidArgument("maturity_s must be above 0", field="maturity_s")
        if not 1 <= self.limit <= MAX_TURNS:
            raise InvalidArgument(f"limit must be from 1 to {MAX_TURNS}", field="limit", value=self.limit)


@dataclass(frozen=True)
class JudgedTurn:
    """One answer. conversation_weight: the canary's probability when this policy's first answer of the conversation was
    drawn, 0 where it could not be shown, None without a conversation. response_chars: 0 where nothing was answered.
    followed_at: of the reply that speaks for it; polarity: what that one says. sampled: that reply was given to the
    second judge; second: what it says, UNSPECIFIED where it gave no reading. refused: None where nobody asked. norms:
    which applied and which it breaks, None where nobody asked, it was not completed, or its words are not kept."""

    tenant: str
    user_id: str
    conversation_id: str
    interaction_id: str
    accepted_at: float
    arm: ArmKind
    version: str
    propensity: float
    holdout: bool
    forced: bool
    crossed: bool
    completed: bool
    response_chars: int
    followed_at: float | None = None
    polarity: Polarity = Polarity.UNSPECIFIED
    sampled: bool = False
    second: Polarity = Polarity.UNSPECIFIED
    refused: bool | None = None
    norms: Told | None = None
    conversation_weight: float | None = None


@dataclass(frozen=True)
class Judged:
    """turns: by time. matured_to: the next call's `after`. judges: the present version of each that was asked for
    without one. foreign: replies that were read by another version of a judge and not by the pinned one. behind_s: by
    how much the slowest reader is behind the log. second: whose readings of the audit sample these are, if any's."""

    turns: tuple[JudgedTurn, ...]
    matured_to: float
    judges: tuple[Judge, ...]
    foreign: int
    behind_s: float
    second: Judge | None = None


@dataclass(frozen=True)
class _Reply:
    """at: its accepted_at, and the id that decides between two of one moment. second: what the second judge says."""

    at: int
    event_id: str
    polarity: str
    sampled: bool = False
    second: str = ""


@dataclass(frozen=True)
class Mark:
    """How far things had come at one moment. at: seconds; place: the number up to which replies were read by an
    extractor; ends: of the log's partitions then, which hold all signals about those replies."""

    at: float
    place: int
    ends: Mapping[tuple[str, int], int]


def mark(store: Store, log: Readable, now: float, kinds: Sequence[str] = JUDGED) -> Mark:
    """Notes where log and extractor stand. The place is read first: its signals lie before the ends."""
    with store.reading() as connection:
        place = connection.execute(select(func.max(readers.c.number)).where(readers.c.reader.like(EXTRACTING))).scalar()
    ends = {(topic, part): end for topic in of_kinds(log.topics, kinds) for part, end in log.end_offsets(topic).items()}
    return Mark(now, place or 0, ends)


def reached(store: Store, marked: Mark) -> bool:
    """Whether the ledger has read everything before a mark."""
    with store.reading() as connection:
        rows = connection.execute(select(positions.c.topic, positions.c.part, positions.c.next)).all()
    known = {(topic, part): at for topic, part, at in rows}
    return all(known.get(where, 0) >= end for where, end in marked.ends.items())


def read_judged(store: Store, asked: Asked, marked: Mark, clock: Callable[[], float] = time.monotonic) -> Judged:
    """The answers that have matured since `asked.after`, and later ones of the same units up to where all was read.

    For a mark that is reached; the caller keeps `matured_to` and leaves out units it has counted before. clock: of
    seconds, by which norms end a page; one moment is always read.
    """
    after, maturity = micros(asked.after), micros(asked.maturity_s)
    with store.reading() as connection:
        through = _read_to(connection, marked)
        closing, matured_to = _closing(connection, asked, after, max(after, through - maturity))
        later = _later(connection, asked, closing, matured_to, matured_to + maturity) if closing else []
        rows = [*closing, *later]
        begun = _conversations(connection, rows, asked.policy)
        replies, foreign, second = _replies(connection, rows, asked)
        judges = tuple(j if j.version else Judge(j.extractor, _present(connection, j.extractor)) for j in asked.judges)
    told: Mapping[tuple[str, str], Told | None] = {}
    if asked.rules is not None and closing:
        # Behind the transaction: rules over whole answers may take longer than a reader should.
        needed = _needed(rows, closing, asked.unit, maturity)
        told, stopped = _told(store, needed, asked.rules, closing[0]["accepted_at"], clock)
        if stopped is not None:
            moments = [row["accepted_at"] for row in closing]
            matured_to = moments[bisect_left(moments, stopped) - 1]
            kept = {(row["tenant"], row["event_id"]) for need, row in needed if need <= matured_to}
            rows = [row for row in rows if (row["tenant"], row["event_id"]) in kept]
    return Judged(
        tuple(_turn(row, begun, replies, told.get((row["tenant"], row["event_id"]))) for row in rows),
        matured_to / 1_000_000,
        judges,
        foreign,
        max(0.0, marked.at - through / 1_000_000),
        second,
    )


def _read_to(connection: Connection, marked: Mark) -> int:
    """Up to when every reply has its signals, if it gets any."""
    waiting = connection.execute(
        select(func.min(feedback.c.accepted_at))
        .select_from(joined.join(feedback, _same(joined, feedback)))
        .where(joined.c.number > marked.place, feedback.c.state == "joined", feedback.c.cause == "")
    ).scalar()
    through = micros(marked.at - SLACK_S)
    return through if waiting is None else min(through, waiting - 1)


def _closing(connection: Connection, asked: Asked, after: int, until: int) -> tuple[list[Any], int]:
    """Answers accepted in (after, until], at most `limit` and then all of the last moment; and up to when they go."""
    query = select(*_columns(asked)).where(interactions.c.policy == asked.policy)
    window = query.where(interactions.c.accepted_at > after, interactions.c.accepted_at <= until)
    ordered = window.order_by(interactions.c.accepted_at, interactions.c.tenant, interactions.c.event_id)
    rows = list(connection.execute(ordered.limit(asked.limit)).mappings())
    if len(rows) < asked.limit:
        return rows, until
    last = rows[-1]["accepted_at"]
    earlier = [row for row in rows if row["accepted_at"] < last]
    same = connection.execute(query.where(interactions.c.accepted_at == last)).mappings()
    return [*earlier, *same], last


_LENGTH: ColumnElement[Any] = func.coalesce(func.length(interactions.c.response), 0).label("response_chars")
#: What a refusal is told by.
_OPENING: ColumnElement[Any] = func.substr(interactions.c.response, 1, refusals.OPENING).label("opening")

#: What norms are held against.
_ANSWER: ColumnElement[Any] = func.substr(interactions.c.response, 1, MOST_READ).label("answer")
#: Whether the answer was empty when it came: then there are no words that could have gone.
_EMPTY: ColumnElement[Any] = ((interactions.c.answer_digest == "") & interactions.c.sealed.is_(None)).label("empty")


def _columns(asked: Asked) -> tuple[ColumnElement[Any], ...]:
    columns = (*_COLUMNS, _LENGTH)
    return (*columns, _OPENING) if asked.refusals else columns


def _later(connection: Connection, asked: Asked, closing: Sequence[Any], after: int, until: int) -> list[Any]:
    """Answers of the same people (conversations, where those are the unit) in (after, until]."""
    people: dict[str, set[str]] = defaultdict(set)
    talks: dict[str, set[str]] = defaultdict(set)
    for row in closing:
        by, value = _unit_of(row, asked.unit)
        (people if by == "subject" else talks)[row["tenant"]].add(value)
    at = interactions.c.accepted_at
    window = (interactions.c.policy == asked.policy, at > after, at <= until)
    columns = _columns(asked)
    found: dict[tuple[str, str], Any] = {}
    for column, wanted in ((interactions.c.subject, people), (interactions.c.conversation_id, talks)):
        for tenant, values in wanted.items():
            for row in find(connection, interactions, tenant, column, values - {""}, *window, columns=columns):
                found[row["tenant"], row["event_id"]] = row
    return sorted(found.values(), key=lambda row: (row["accepted_at"], row["tenant"], row["event_id"]))


def _unit_of(row: Mapping[str, Any], unit: str) -> tuple[str, str]:
    """The column and value by which answers of one unit are found."""
    by_user = row["user_id"] and (unit == "user" or not row["conversation_id"])
    column = "subject" if by_user else "conversation_id"
    return column, row[column]


def _needed(rows: Sequence[Any], closing: Sequence[Any], unit: str, maturity: int) -> list[tuple[int, Any]]:
    """Each answer after the moment from which on a page that ends there has it: its own, or, where one of its unit
    closes earlier, one window before its own. By those moments."""
    first: dict[tuple[str, str, str], int] = {}
    for row in closing:
        first.setdefault((row["tenant"], *_unit_of(row, unit)), row["accepted_at"])

    def need(row: Mapping[str, Any]) -> int:
        units = [(row["tenant"], name, row[name]) for name in ("subject", "conversation_id") if row[name]]
        begun = [first[each] for each in units if each in first]
        return max(min(begun), row["accepted_at"] - maturity) if begun else int(row["accepted_at"])

    return sorted(((need(row), row) for row in rows), key=lambda pair: pair[0])


def _told(
    store: Store, needed: Sequence[tuple[int, Any]], rules: Rules, first: int, clock: Callable[[], float]
) -> tuple[Mapping[tuple[str, str], Told | None], int | None]:
    """What completed answers break, by tenant and id, and the moment that was not told whole when the time was up, None
    if all were. first: the moment that is told in any case."""
    until = clock() + NORMS_S
    told: dict[tuple[str, str], Told | None] = {}
    for part in chunks(needed, _HELD):
        words = _words(store, [row for _, row in part if row["status"] == AttemptStatus.COMPLETED], rules.asks)
        for need, row in part:
            if need > first and clock() > until:
                return told, need
            key = (row["tenant"], row["event_id"])
            told[key] = rules.read(*words[key]) if key in words else None
    return told, None


def _words(store: Store, rows: Sequence[Any], asks: bool) -> Mapping[tuple[str, str], tuple[str, str]]:
    """Question and answer by tenant and id, of those whose words are kept; "" for a question that nobody wants."""
    columns = [interactions.c.tenant, interactions.c.event_id, _ANSWER, _EMPTY, *([interactions.c.messages] * asks)]
    found = {}
    with store.reading() as connection:
        for tenant, own in _by_tenant(rows).items():
            ids = [row["event_id"] for row in own]
            for row in find(connection, interactions, tenant, interactions.c.event_id, ids, columns=columns):
                question = question_of(json.loads(row["messages"])) if asks and row["messages"] else ""
                if row["answer"] is not None or row["empty"]:
                    found[tenant, row["event_id"]] = question, row["answer"] or ""
    return found


def _conversations(connection: Connection, rows: Sequence[Any], policy: str) -> Mapping[tuple[str, str], float]:
    """The canary's probability at the first answer of each conversation."""
    begun: dict[tuple[str, str], float] = {}
    for tenant, found in _by_tenant(rows).items():
        for part in chunks(sorted({row["conversation_id"] for row in found} - {""})):
            own = (interactions.c.tenant == tenant, interactions.c.policy == policy)
            first = (
                select(interactions.c.conversation_id, func.min(interactions.c.accepted_at).label("at"))
                .where(*own, interactions.c.conversation_id.in_(part))
                .group_by(interactions.c.conversation_id)
                .subquery()
            )
            same = (interactions.c.conversation_id == first.c.conversation_id) & (
                interactions.c.accepted_at == first.c.at
            )
            columns = [interactions.c[name] for name in ("conversation_id", "arm", "facts")]
            query = select(*columns).select_from(interactions.join(first, same)).where(*own)
            # Of several at one moment the one with the least id, so that whoever reads finds the same.
            ordered = query.order_by(interactions.c.event_id.desc())
            begun |= {(tenant, talk): _drawn(arm, facts) for talk, arm, facts in connection.execute(ordered)}
    return begun


def _drawn(arm: str, facts: str) -> float:
    """The canary's probability when an answer was drawn."""
    return canary_weight(ArmKind(arm), json.loads(facts).get("served", {}).get("propensity", 0.0))


def _replies(
    connection: Connection, rows: Sequence[Any], asked: Asked
) -> tuple[Mapping[tuple[str, str, str], _Reply], int, Judge | None]:
    """The first reply that was read, by attempt; how many another version has read; and the second judge of these."""
    names, pinned = [j.extractor for j in asked.judges], {(j.extractor, j.version) for j in asked.judges}
    judging = signals.c.extractor.in_(names)
    wanted = judging if asked.second is None else or_(judging, signals.c.extractor.startswith(audit.PREFIX))
    columns = [feedback.c[n] for n in ("tenant", "event_id", "accepted_at", "target_interaction", "target_attempt")]
    replies, read = [], defaultdict(list)
    for tenant, answers in _by_tenant(rows).items():
        ids = [row["interaction_id"] for row in answers]
        told = (feedback.c.state == "joined", feedback.c.cause == "")
        found = find(connection, feedback, tenant, feedback.c.target_interaction, ids, *told, columns=columns)
        replies += found
        for signal in find(
            connection, signals, tenant, signals.c.source_event_id, [r["event_id"] for r in found], wanted
        ):
            read[tenant, signal["source_event_id"]].append(signal)
    second = None if asked.second is None else _second(asked.second, [s for heard in read.values() for s in heard])
    about, foreign = defaultdict(list), 0
    for reply in replies:
        everything = read[reply["tenant"], reply["event_id"]]
        heard = [s for s in everything if s["extractor"] in names]
        mine = [s for s in heard if (s["extractor"], s["extractor_version"]) in pinned]
        foreign += bool(heard) and not mine
        said = judgement(mine)
        if said is None:
            continue
        # What another second judge has read, or another version, was in the sample, and has no reading that can be held
        # against the others.
        audited = [s for s in everything if audit.is_second(s["extractor"])]
        latest = judgement([s for s in audited if Judge(s["extractor"], s["extractor_version"]) == second])
        key = (reply["tenant"], reply["target_interaction"], reply["target_attempt"])
        about[key].append(
            _Reply(
                reply["accepted_at"],
                reply["event_id"],
                said["polarity"],
                bool(audited),
                latest["polarity"] if latest else "",
            )
        )
    firsts = {key: min(found, key=lambda reply: (reply.at, reply.event_id)) for key, found in about.items()}
    return firsts, foreign, second


def _second(asked: Judge, heard: Sequence[Mapping[str, Any]]) -> Judge | None:
    """The second judge that was asked for; the one that has read any of these last, where none was."""
    if asked.version:
        return asked
    found = [signal for signal in heard if audit.is_second(signal["extractor"])]
    latest = max(found, key=lambda signal: (signal["accepted_at"], signal["event_id"]), default=None)
    return None if latest is None else Judge(latest["extractor"], latest["extractor_version"])


def _present(connection: Connection, extractor: str) -> str:
    """The version of an extractor that has concluded something last, "" where none has."""
    latest = select(signals.c.extractor_version).where(signals.c.extractor == extractor)
    ordered = latest.order_by(signals.c.accepted_at.desc(), signals.c.event_id).limit(1)
    return connection.execute(ordered).scalar() or ""


def _turn(
    row: Mapping[str, Any],
    begun: Mapping[tuple[str, str], float],
    replies: Mapping[tuple[str, str, str], _Reply],
    norms: Told | None,
) -> JudgedTurn:
    served = json.loads(row["facts"]).get("served", {})
    reply = replies.get((row["tenant"], row["interaction_id"], row["attempt_id"]))
    return JudgedTurn(
        **{name: row[name] for name in ("tenant", "user_id", "conversation_id", "interaction_id", "version")},
        **{name: row[name] for name in ("holdout", "forced", "crossed", "response_chars")},
        accepted_at=row["accepted_at"] / 1_000_000,
        arm=ArmKind(row["arm"]),
        propensity=served.get("propensity", 0.0),
        completed=row["status"] == AttemptStatus.COMPLETED,
        followed_at=None if reply is None else reply.at / 1_000_000,
        polarity=Polarity.UNSPECIFIED if reply is None else Polarity(reply.polarity),
        sampled=reply is not None and reply.sampled,
        second=Polarity(reply.second) if reply is not None and reply.second else Polarity.UNSPECIFIED,
        refused=refusals.refuses(row["opening"] or "") if "opening" in row else None,
        norms=norms,
        conversation_weight=begun.get((row["tenant"], row["conversation_id"])),
    )


def _by_tenant(rows: Iterable[Any]) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row["tenant"]].append(row)
    return found


def _same(one: Any, other: Any) -> ColumnElement[bool]:
    return (one.c.tenant == other.c.tenant) & (one.c.event_id == other.c.event_id)
