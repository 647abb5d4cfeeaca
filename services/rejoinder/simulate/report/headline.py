"""The result in one sentence and four figures: the rise, the rounds, the pushes, the parity."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.plots.markup import Safe, el, join
from rejoinder.plots.numerals import (
    ABSENT,
    Estimate,
    count,
    decimal,
    named,
    number,
    percent,
    points,
    points_interval,
)

Item = Mapping[str, Any]


def _no_answer_held_back(push: Item) -> bool:
    reasons = [str(reason).replace("_", " ") for reason in push.get("reasons") or ()]
    silent = push.get("verdict") == "inconclusive" and any("response rate" in reason for reason in reasons)
    return push.get("action") != "promoted" and (push.get("verdict") == "worse" or silent)


#: What each pushed version must come to.
DEMANDS: Mapping[str, tuple[str, Callable[[Item], bool]]] = {
    "style": ("worse, not promoted", lambda p: p.get("verdict") == "worse" and p.get("action") != "promoted"),
    "silent": ("worse or inconclusive by response rate, not promoted", _no_answer_held_back),
    "harmless": ("promoted", lambda p: p.get("action") == "promoted"),
}


def as_demanded(push: Item) -> bool | None:
    """None where nothing is demanded of this kind."""
    demand = DEMANDS.get(str(push.get("kind")))
    return None if demand is None else demand[1](push)


def verdict_of(item: Item) -> str:
    """The verdict in a reader's words: what was promoted though nothing was decided either way was shown to be no
    worse than the margin allows, which is what promotion rests on."""
    if item.get("verdict") == "inconclusive" and item.get("action") == "promoted":
        return "not worse (margin shown)"
    return named(item.get("verdict"))


@dataclass(frozen=True)
class Rise:
    """first_answer from the untrained policy to the last promoted version. paired: the interval is of the same people's
    differences; else it runs between the far ends of the two intervals, which is never narrower."""

    start: float
    end: float
    gain: Estimate
    paired: bool


def rise(result: Item) -> Rise | None:
    promoted = [row for row in result.get("rounds") or () if row.get("promoted")]
    if len(promoted) < 2:
        return None
    first, last = (Estimate.of(row.get("first_answer")) for row in (promoted[0], promoted[-1]))
    if first is None or last is None:
        return None
    if paired := Estimate.of(result.get("rise")):
        return Rise(first.value, last.value, paired, True)
    if None in (first.low, first.high, last.low, last.high):
        return Rise(first.value, last.value, Estimate(last.value - first.value, None, None), False)
    ends = (last.low or 0.0) - (first.high or 0.0), (last.high or 0.0) - (first.low or 0.0)
    return Rise(first.value, last.value, Estimate(last.value - first.value, *ends), False)


def trained(result: Item) -> Sequence[Item]:
    """The rounds without round 0, the untrained policy."""
    return [row for row in result.get("rounds") or () if row.get("round") != 0]


def summary(result: Item) -> Safe:
    clauses = [clause for clause in (_rise_clause(result), *_other_clauses(result)) if clause]
    sentence = "; ".join(clauses) or "the run has measured nothing yet"
    return el("p", sentence[0].upper() + sentence[1:] + ".", class_="lead")


def _rise_clause(result: Item) -> str:
    found = rise(result)
    if found is None:
        return "no round was promoted, so first answers stayed as they were" if trained(result) else ""
    verb = "rose" if found.gain.value >= 0 else "fell"
    between = ""
    if found.gain.low is not None:
        between = f" (95\N{NO-BREAK SPACE}% interval {points(found.gain.low)} to {points(found.gain.high)})"
    return (
        f"mean satisfaction of simulated users with a first answer {verb} by "
        f"{decimal(abs(100 * found.gain.value))} points{between}, from {percent(found.start)} to {percent(found.end)}"
    )


def _other_clauses(result: Item) -> Sequence[str]:
    rounds, judged, parity = trained(result), _judged_pushes(result), result.get("parity") or {}
    clauses = []
    if rounds:
        clauses.append(f"{sum(bool(r.get('promoted')) for r in rounds)} of {len(rounds)} rounds were promoted")
    if judged:
        clauses.append(f"{sum(judged)} of {len(judged)} pushed versions ended as demanded")
    if number(parity.get("acknowledged")) is not None:
        clauses.append(
            f"of {count(parity['acknowledged'])} acknowledged events {count(parity.get('lost'))} were lost and "
            f"{count(parity.get('duplicated'))} duplicated"
        )
    return clauses


def _judged_pushes(result: Item) -> Sequence[bool]:
    return [met for push in result.get("pushes") or () if (met := as_demanded(push)) is not None]


def tiles(result: Item) -> Safe:
    """The figures of the sentence, large."""
    return el(
        "dl", [_rise_tile(result), _rounds_tile(result), _pushes_tile(result), _parity_tile(result)], class_="tiles"
    )


def _tile(name: str, figure: str, note: str, good: bool | None = None) -> Safe:
    sign = {None: None, True: el("span", "✓ ", class_="good"), False: el("span", "✗ ", class_="bad")}[good]
    return el("div", el("dt", name), el("dd", join([sign, figure]), class_="figure"), el("dd", note, class_="note"))


def _rise_tile(result: Item) -> Safe:
    found = rise(result)
    if found is None:
        return _tile("First answer, points", ABSENT, "no promoted round to compare")
    interval = points_interval(found.gain).removeprefix(points(found.gain.value)).strip()
    kind = "95 %, paired" if found.paired else "far ends of both 95 % intervals"
    return _tile("First answer, points", points(found.gain.value), f"{interval} {kind}" if interval else "no interval")


def _rounds_tile(result: Item) -> Safe:
    rounds = trained(result)
    refused = sum(row.get("outcome") == "refused" for row in rounds)
    promoted = sum(bool(row.get("promoted")) for row in rounds)
    return _tile("Rounds promoted", f"{promoted} of {len(rounds)}", f"{refused} refused by the gate")


def _pushes_tile(result: Item) -> Safe:
    judged = _judged_pushes(result)
    if not judged:
        return _tile("Pushes as demanded", ABSENT, "no version was pushed past the gate")
    return _tile("Pushes as demanded", f"{sum(judged)} of {len(judged)}", "versions pushed past the gate", all(judged))


def _parity_tile(result: Item) -> Safe:
    parity = result.get("parity") or {}
    lost, twice = number(parity.get("lost")), number(parity.get("duplicated"))
    if lost is None or twice is None:
        return _tile("Lost / duplicated", ABSENT, "parity was not checked")
    note = f"of {count(parity.get('acknowledged'))} acknowledged"
    return _tile("Lost / duplicated", f"{count(lost)} / {count(twice)}", note, lost == 0 and twice == 0)
