"""Charts 2 and 3: facts and length over the rounds, and the rewards against KL beside what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.plots.markup import Safe, el
from rejoinder.plots.numerals import Estimate, count, decimal, general, named, number, percent
from rejoinder.plots.panels import Panel, stack
from rejoinder.plots.plot import Point, Scale, Series
from rejoinder.simulate.report.series import Rows, last_round, note_of, plain, round_ticks


def quality(result: Mapping[str, Any]) -> Safe:
    """Chart 2: what satisfaction must not be bought with."""
    rows = result.get("rounds") or ()
    facts = Series("facts right", "s3", plain(rows, "facts", lambda v: f"facts right {percent(v)}"))
    words = Series("words", "s4", plain(rows, "words", lambda v: f"{decimal(v)} words"), mark="square")
    lowest = min((p.y for p in facts.points), default=0.9)
    longest = max((p.y for p in words.points), default=20.0)
    x = (-0.12, max(last_round(rows), 1) + 0.12)
    panels = [
        Panel([facts], (int((lowest - 0.03) * 20) / 20, 1.0), "facts right, %", lambda t: general(100 * t), percent),
        Panel([words], (0.0, longest * 1.15), "mean words of an answer", general, decimal),
    ]
    note = "Facts may not be sold for satisfaction, and longer is not better: both stand beside the curve."
    picture = stack("quality", "Facts and length by round", panels, x, round_ticks(rows), "round")
    return el("figure", picture, el("figcaption", note))


def divergence(result: Mapping[str, Any]) -> Safe | None:
    """Chart 3: the rewards and what they stand for, over one axis of KL. None without a reward."""
    rows = [row for row in result.get("rounds") or () if number(row.get("kl")) is not None]
    heads = [
        Series("training head", "s1", _rewards(rows, "train")),
        Series("gate head", "s2", _rewards(rows, "gate"), mark="square"),
    ]
    if not any(series.points for series in heads):
        return None
    hidden = Series(
        "satisfaction",
        "s3",
        [
            _at_kl(row, e.value, "first answer", percent(e.value), named(row.get("round")))
            for row in rows
            if (e := Estimate.of(row.get("first_answer")))
        ],
    )
    rewards = [p.y for series in heads for p in series.points]
    pad = 0.18 * (max(rewards) - min(rewards)) or 0.1
    top = max((p.y for p in hidden.points), default=1.0)
    reached = [number(row.get("kl")) or 0.0 for row in rows]
    farthest = max(reached) or 1.0
    x = Scale(min(0.0, *reached) - 0.04 * farthest, 1.06 * farthest, 0.0, 1.0)
    panels = [
        Panel(heads, (min(rewards) - pad, max(rewards) + 1.5 * pad), "reward, sd", general, general),
        Panel([hidden], (0.0, min(1.0, top * 1.3)), "hidden satisfaction, %", lambda t: general(100 * t), percent),
    ]
    note = (
        "Against the distance from the original policy; the small figure is the round. A training reward that climbs "
        "while the gate's head or the hidden satisfaction falls would be over-optimisation. 0 is the untrained policy, "
        "1 the standard deviation of what the head gives to its answers." + _fitted(result.get("reward_heads") or {})
    )
    ticks = [(t, general(t)) for t in x.ticks(5)]
    name, under = "Reward and satisfaction against KL", "KL to the original policy"
    picture = stack("divergence", name, panels, (x.low, x.high), ticks, under)
    return el("figure", picture, el("figcaption", note))


def _fitted(heads: Mapping[str, Any]) -> str:
    """On how many pairs of whom each head was fitted; no user is behind both."""
    told = [
        f"the {name} head on {count(facts.get('pairs'))} pairs of {count(facts.get('users'))} users"
        for name, facts in heads.items()
        if facts
    ]
    return f" Fitted: {', '.join(told)}, none of whom is behind both." if told else ""


def _rewards(rows: Rows, head: str) -> Sequence[Point]:
    found = [(row, number((row.get("reward") or {}).get(head))) for row in rows]
    return [_at_kl(row, v, head, general(v)) for row, v in found if v is not None]


def _at_kl(row: Mapping[str, Any], value: float, words: str, told: str, tag: str = "") -> Point:
    kl = number(row.get("kl")) or 0.0
    note = note_of(row, words, told, f"at KL {general(kl)}")
    return Point(kl, value, note=note, hollow=not row.get("promoted"), tag=tag)
