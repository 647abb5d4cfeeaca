"""From judged turns to one score per unit of assignment: what the sequential test is fed with.

A unit counts once in a rollout: in the arm and at the weight of its first turn that can count, when the maturity window
of that turn closes. Everything is read off record stamps, so the result depends on the set of turns before the
watermark, not on their order, and later units or late records never change an earlier score. A missing follow-up is
censored: it lowers the reply rate and labels nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from rejoinder.core.arms import canary_weight
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import ArmKind, Polarity


@dataclass(frozen=True)
class Measure:
    """Something a veto watches on one turn: harm in [0, 1] (1 = bad), and when it was recorded (accepted_at)."""

    name: str
    harm: float
    at: float


@dataclass(frozen=True)
class Audited:
    """One turn of the audit sample: what the first judge says, and the second; UNSPECIFIED where that one was asked and
    gave no reading. sees: by how much the second's mean moves where the first's moves by one, (0, 1]."""

    first: Polarity
    second: Polarity
    sees: float = 1.0


@dataclass(frozen=True)
class Turn:
    """One served answer and what came back, as the ledger joins it.

    at: its accepted_at. propensity: of the arm shown. conversation_weight: the canary's probability when its
    conversation's first turn was drawn, 0 where it could not be shown, None without a conversation. completed: False
    where the attempt failed or was cancelled. followed_at: accepted_at of its follow-up. score: satisfaction in [0, 1]
    by the pinned extractor, None where it concluded nothing. audited: where the turn is in the audit sample. measures:
    length, refusals, an outcome the user names, …
    """

    unit: str
    interaction_id: str
    at: float
    arm: ArmKind
    propensity: float
    conversation_weight: float | None = None
    crossed: bool = False
    forced: bool = False
    holdout: bool = False
    completed: bool = True
    followed_at: float | None = None
    score: float | None = None
    polarity: Polarity = Polarity.UNSPECIFIED
    audited: Audited | None = None
    measures: tuple[Measure, ...] = ()


@dataclass(frozen=True)
class UnitScore:
    """One unit at maturity. judged: mean score of its judged turns, None if there was none. replied, sat, dsat, failed:
    shares of its `turns`. measures: (veto name, mean harm). audited: those of its turns that are in the audit sample.
    weight: the canary's probability when it was drawn.
    """

    unit: str
    canary: bool
    weight: float
    closes_at: float
    turns: int
    judged: float | None
    replied: float
    sat: float
    dsat: float
    failed: float = 0.0
    measures: tuple[tuple[str, float], ...] = ()
    audited: tuple[Audited, ...] = ()


@dataclass(frozen=True)
class Collected:
    """units: by (closes_at, unit). dropped: turns left out, by cause. waiting: units whose window is still open."""

    units: tuple[UnitScore, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0


def collect(
    turns: Iterable[Turn],
    *,
    maturity_s: float,
    turns_cap: int,
    through: float,
    counted: Container[str] = frozenset(),
) -> Collected:
    """The units that matured by `through`, the time up to which log and extractor have been read to the end.

    turns_cap: judged turns of one unit beyond it are left out. counted: units of this
    rollout that an earlier call returned, where the caller no longer has their turns.
    """
    dropped: Counter[str] = Counter()
    by_unit: dict[str, list[Turn]] = {}
    for turn in turns:
        cause = _unfit(turn)
        if cause:
            dropped[cause] += 1
        elif turn.unit in counted:
            dropped["counted"] += 1
        else:
            by_unit.setdefault(turn.unit, []).append(turn)

    units, waiting = [], 0
    for own in by_unit.values():
        own.sort(key=lambda turn: (turn.at, turn.interaction_id))
        if own[0].at + maturity_s > through:
            waiting += 1
            continue
        units.append(_score(own, maturity_s, turns_cap, dropped))
    units.sort(key=lambda unit: (unit.closes_at, unit.unit))
    return Collected(tuple(units), dict(+dropped), waiting)


def _weight(turn: Turn) -> float:
    """The canary's probability, the same float whichever arm was shown."""
    return round(canary_weight(turn.arm, turn.propensity), 9)


def _unfit(turn: Turn) -> str:
    """Why a turn cannot count, "" if it can."""
    if turn.score is not None and not 0.0 <= turn.score <= 1.0:
        raise InvalidArgument("a score must lie in [0, 1]", field="score", interaction_id=turn.interaction_id)
    if turn.holdout or turn.arm not in (ArmKind.STABLE, ArmKind.CANARY):
        return "holdout"
    if turn.forced:
        return "forced"
    if turn.crossed:
        return "crossed"
    weight = _weight(turn)
    if not 0.0 < weight < 1.0:
        return "no_information"
    # `crossed` alone would strike only the arm that changed. A conversation that began under another weight (before a
    # step, or on a replica that did not have the table yet) is left out on both sides: else stable would count its
    # later turns, in which people have already said what they want, and the canary none of them.
    if turn.conversation_weight is not None and abs(turn.conversation_weight - weight) > 1e-9:
        return "carried"
    return ""


def _score(own: list[Turn], maturity_s: float, turns_cap: int, dropped: Counter[str]) -> UnitScore:
    first, closes_at = own[0], own[0].at + maturity_s
    weight = _weight(first)
    kept: list[Turn] = []
    for turn in own:
        if turn.at > closes_at:
            dropped["after_window"] += 1
        elif turn.arm is not first.arm or _weight(turn) != weight:
            dropped["moved"] += 1
        elif len(kept) >= turns_cap:
            dropped["over_cap"] += 1
        else:
            kept.append(turn)
    in_time = [turn for turn in kept if turn.followed_at is not None and turn.followed_at <= closes_at]
    dropped["late_reply"] += sum(turn.followed_at is not None for turn in kept) - len(in_time)
    scores = [turn.score for turn in in_time if turn.score is not None]
    n = len(kept)
    return UnitScore(
        unit=first.unit,
        canary=first.arm is ArmKind.CANARY,
        weight=weight,
        closes_at=closes_at,
        turns=n,
        judged=sum(scores) / len(scores) if scores else None,
        replied=len(in_time) / n,
        sat=sum(turn.polarity is Polarity.SAT for turn in in_time) / n,
        dsat=sum(turn.polarity is Polarity.DSAT for turn in in_time) / n,
        failed=sum(not turn.completed for turn in kept) / n,
        measures=_measures(kept, closes_at),
        # A reply that came too late speaks for nobody, in the sample neither.
        audited=tuple(turn.audited for turn in in_time if turn.audited is not None),
    )


def _measures(turns: list[Turn], closes_at: float) -> tuple[tuple[str, float], ...]:
    values: dict[str, list[float]] = {}
    for measure in (measure for turn in turns for measure in turn.measures if measure.at <= closes_at):
        values.setdefault(measure.name, []).append(measure.harm)
    return tuple((name, sum(found) / len(found)) for name, found in sorted(values.items()))
