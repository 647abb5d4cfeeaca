"""From the ledger's matured answers to the evidence of one rollout: read on from a place, pinned extractors, one state
that goes through JSON bit-equal.

A page of answers, the place after it and the units it closed are remembered together: a kill in between reads the same
page again and counts nothing twice.
"""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rejoinder.clients.ledger import Judge, Judged, JudgedTurn
from rejoinder.core.arms import unit_id
from rejoinder.core.audit import sees
from rejoinder.core.charter import Charter, Rule
from rejoinder.core.errors import BadSettings
from rejoinder.core.types import ArmKind, Polarity
from rejoinder.rollout.audit import AUDIT
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.state import Status
from rejoinder.rollout.units import Audited, Measure, Turn, collect
from rejoinder.rollout.vetoes import ARMS, FAILURES, GROWTH, LENGTH, NORMS, REFUSALS

#: The bound of the veto `length` is read off so many answers of stable: GROWTH times their median.
_SAMPLE = 200
#: The vetoes that something here measures. The audit is measured where a second judge reads: until then it is not, and
#: a plan that asks for it promotes nothing.
MEASURED = (FAILURES, LENGTH, REFUSALS, NORMS, AUDIT)
_SCORES = {Polarity.SAT: 1.0, Polarity.DSAT: 0.0}
#: Answers of one page, and pages of one look: a renewal must not wait for a backlog.
PAGE, PAGES = 2_000, 5
#: Looks that fit into a lease at least, so that renewals are never late.
LOOKS = 6


def check_kept(plan: RolloutPlan, poll_s: float) -> None:
    """BadSettings for a plan that asks for what this engine does not do: unmeasured, a veto would never fire, and its
    silence would read as consent; and a lease, renewed at every look, must outlive several. poll_s: between looks."""
    unknown = [veto.name for veto in plan.vetoes if veto.name not in MEASURED]
    if unknown:
        raise BadSettings(f"rollout.vetoes: nothing measures {', '.join(unknown)}; there are {', '.join(MEASURED)}")
    if poll_s * LOOKS > plan.lease_ttl_s:
        raise BadSettings(f"rollout.lease_ttl_s must be at least {LOOKS} times engine.poll_s, {LOOKS * poll_s:g}")


class Ledger(Protocol):
    """What is asked of the ledger: `clients.ledger.LedgerClient`."""

    def judged(
        self,
        policy: str,
        after: float,
        maturity_s: float,
        judges: Sequence[Judge],
        unit: str,
        limit: int,
        *,
        second: Judge | None,
        refusals: bool,
        norms: Sequence[Rule],
    ) -> Judged: ...


@dataclass(frozen=True)
class Reading:
    """Where the reading stands. after: answers up to here have matured. judges: pinned once each has a version. second:
    the second judge, pinned once it has read anything. lengths: stable's first answers, in characters, until there are
    enough to know the bound. dropped: turns by cause. norms: by arm and norm of the charter, the answers to which it
    applied and those that broke it. foreign, behind_s: of the last page."""

    after: float
    judges: tuple[Judge, ...]
    lengths: tuple[int, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    foreign: int = 0
    behind_s: float = 0.0
    second: Judge | None = None
    norms: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def pinned(self) -> bool:
        return all(judge.version for judge in self.judges)

    @property
    def long(self) -> float | None:
        """Characters above which an answer is a long one; None while too few of stable's are known."""
        return GROWTH * statistics.median(self.lengths) if len(self.lengths) >= _SAMPLE else None

    def as_dict(self) -> dict[str, Any]:
        """What a later version added is there only where it is used: the version before refuses what it does not know,
        and after a rollback of the software it is the one that reads."""
        plain = {name: getattr(self, name) for name in ("after", "lengths", "dropped", "foreign", "behind_s")}
        if self.norms:
            plain["norms"] = {arm: {name: list(n) for name, n in found.items()} for arm, found in self.norms.items()}
        plain["second"] = None if self.second is None else [self.second.extractor, self.second.version]
        return plain | {"judges": [[judge.extractor, judge.version] for judge in self.judges]}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Reading:
        judges = tuple(Judge(*judge) for judge in value["judges"])
        second = value.get("second")
        # A process of before norms were counted has none.
        counts = {
            arm: {name: (applied, broken) for name, (applied, broken) in found.items()}
            for arm, found in value.get("norms", {}).items()
        }
        parts = {"judges": judges, "lengths": tuple(value["lengths"]), "second": Judge(*second) if second else None}
        return cls(**{**value, **parts, "norms": counts})


@dataclass(frozen=True)
class Page:
    """One page taken up. evidence has it; units: those that closed with it."""

    reading: Reading
    units: tuple[str, ...]


def pages(
    ledger: Ledger,
    policy: str,
    plan: RolloutPlan,
    status: Status,
    reading: Reading,
    evidence: Evidence,
    counted: Container[str],
) -> Iterator[Page]:
    """What has matured since, page by page; the caller remembers each before it takes the next. evidence is moved on.

    While an extractor is unknown, or replies have been read by another version only, nothing is taken up: the evidence
    waits where it is. Raises what the ledger raises.
    """
    wanted = {veto.name for veto in plan.vetoes}
    for _ in range(PAGES):
        found = ledger.judged(
            policy,
            reading.after,
            plan.maturity_s,
            reading.judges,
            plan.unit,
            PAGE,
            second=(reading.second or Judge()) if AUDIT in wanted else None,
            refusals=REFUSALS in wanted,
            norms=plan.charter.rules if plan.charter else (),
        )
        if not reading.pinned:
            present = tuple(judge for judge in found.judges if judge.version)
            if not present:
                return
            reading = replace(reading, judges=present)
            yield Page(reading, ())
            continue
        if found.second is not None and found.second.version:
            reading = replace(reading, second=found.second)
        reading = replace(reading, foreign=found.foreign, behind_s=found.behind_s)
        if found.foreign or found.matured_to is None or found.matured_to <= reading.after:
            yield Page(reading, ())
            return
        ours = [turn for turn in found.turns if _ours(turn, status)]
        # Later answers of the same people come again with a later page: counted there.
        closing = [turn for turn in ours if (turn.accepted_at or 0.0) <= found.matured_to]
        reading = replace(
            reading,
            after=found.matured_to,
            lengths=_lengths(reading, found.turns),
            norms=_norms(reading.norms, plan.charter, closing),
        )
        turns = [turn_of(turn, plan, status, reading) for turn in ours]
        closed = collect(
            turns,
            maturity_s=plan.maturity_s,
            turns_cap=plan.turns_cap,
            through=found.matured_to + plan.maturity_s,
            counted=counted,
        )
        dropped = dict(reading.dropped)
        for cause, count in closed.dropped.items():
            dropped[cause] = dropped.get(cause, 0) + count
        late = len(closed.units) - evidence.extend(closed.units)
        if late:
            dropped["late"] = dropped.get("late", 0) + late
        reading = replace(reading, dropped=dropped)
        yield Page(reading, tuple(unit.unit for unit in closed.units))
        if not found.turns:
            return


def turn_of(turn: JudgedTurn, plan: RolloutPlan, status: Status, reading: Reading) -> Turn:
    """An answer as the tests take it. The unit is a digest under the rollout's salt."""
    unit = unit_id(turn.tenant, turn.user_id, turn.conversation_id, turn.interaction_id, plan.unit)
    at = turn.accepted_at or 0.0
    harms = {}
    if turn.completed:
        if reading.long is not None:
            harms[LENGTH] = turn.response_chars > reading.long
        if turn.refused is not None:
            harms[REFUSALS] = turn.refused
        broken = plan.charter.harm(turn.norms) if plan.charter and turn.norms is not None else None
        if broken is not None:
            harms[NORMS] = broken
    return Turn(
        unit=hashlib.blake2b(f"{status.salt}\x00{unit}".encode(), digest_size=12).hexdigest(),
        interaction_id=turn.interaction_id,
        at=at,
        arm=turn.arm,
        propensity=turn.propensity,
        conversation_weight=turn.conversation_weight,
        crossed=turn.crossed,
        forced=turn.forced,
        holdout=turn.holdout,
        completed=turn.completed,
        followed_at=turn.followed_at,
        score=_SCORES.get(turn.polarity),
        polarity=turn.polarity,
        audited=Audited(turn.polarity, turn.second, sees(reading.second.extractor))
        if turn.sampled and reading.second is not None
        else None,
        measures=tuple(Measure(name, float(harm), at) for name, harm in harms.items()),
    )


def _ours(turn: JudgedTurn, status: Status) -> bool:
    """Whether an answer is of this rollout's two versions: replicas may lag behind the table for a moment."""
    version = status.canary if turn.arm is ArmKind.CANARY else status.stable
    return turn.version == version.version


def _norms(
    before: Mapping[str, Mapping[str, tuple[int, int]]], charter: Charter | None, turns: Sequence[JudgedTurn]
) -> Mapping[str, Mapping[str, tuple[int, int]]]:
    """Counts of every norm of the charter by arm, these answers added; none without a charter."""
    if charter is None:
        return before
    counts = {arm: {norm.id: before.get(arm, {}).get(norm.id, (0, 0)) for norm in charter.norms} for arm in ARMS}
    for turn in turns:
        if turn.completed and turn.norms is not None:
            own = counts["canary" if turn.arm is ArmKind.CANARY else "stable"]
            for place in turn.norms.applied:
                name = charter.norms[place].id
                applied, broken = own[name]
                own[name] = (applied + 1, broken + (place in turn.norms.broken))
    return counts


def _lengths(reading: Reading, turns: Sequence[JudgedTurn]) -> tuple[int, ...]:
    missing = _SAMPLE - len(reading.lengths)
    new = [turn.response_chars for turn in turns if turn.arm is ArmKind.STABLE and turn.completed]
    return (*reading.lengths, *new[: max(0, missing)])
