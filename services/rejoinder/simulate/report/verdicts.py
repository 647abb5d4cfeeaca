"""One small picture for each rollout: the difference canary - stable with its confidence sequence, and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.plots.markup import Safe, el, join
from rejoinder.plots.numerals import (
    ABSENT,
    MINUS,
    Estimate,
    count,
    general,
    number,
    percent,
    points,
    points_interval,
    seconds,
)
from rejoinder.plots.plot import (
    EndLabel,
    Frame,
    Point,
    Scale,
    Series,
    axes,
    banded_line,
    clipped,
    end_labels,
    margin_for,
    marks,
    rule,
    svg,
    upright,
)
from rejoinder.simulate.report.headline import verdict_of

Item = Mapping[str, Any]
_WIDTH, _LEFT = 340.0, 40.0
_RIGHT = _WIDTH - margin_for(["canary 100"])
_TOP, _FLOOR = 28.0, 196.0
_REPLY_TOP, _REPLY_FLOOR = 234.0, 284.0
_HEIGHT = 324.0
# Points that say their numbers when pointed at; a run has thousands.
_TOLD = 40


def verdicts(result: Item) -> Safe | None:
    """All panels have one scale of differences, so that they can be compared."""
    items = result.get("verdicts") or ()
    reach = _reach([item for item in items if _usable(item)])
    figures = [
        el("figure", el("h3", _title(item)), _told_and_drawn(f"verdict-{i}", item, reach))
        for i, item in enumerate(items)
    ]
    return el("div", figures, class_="grid") if figures else None


def _title(item: Item) -> str:
    told = {**item, "verdict": verdict_of(item) if item.get("verdict") else None}
    return " · ".join(str(told[name]) for name in ("version", "kind", "verdict", "action") if told.get(name))


def _told_and_drawn(key: str, item: Item, reach: float) -> Safe:
    seen, why = _usable(item), f"margin {_margin(item)}; {item.get('reason') or 'no reason given'}"
    if not seen:
        return el("figcaption", "No user was judged. ", why)
    last = seen[-1]
    at = f"{count(last['judged'])} judged users ({count(last.get('judged_canary'))} canary)"
    said = f"At the decision {points_interval(_estimate(last))} points, {at}, {seconds(last.get('seconds'))}. "
    return join([_picture(key, item, seen, reach), el("figcaption", said, _weights(seen), "; ", why, _vetoes(item))])


def _vetoes(item: Item) -> str:
    """Each veto with its evidence: the E-value that it reached, where it fires, and on how many users of either arm."""
    said = []
    for veto in item.get("vetoes") or ():
        n = " + ".join(count((veto.get(arm) or {}).get("units")) for arm in ("stable", "canary"))
        word = "fired" if veto.get("fired") else "clear" if veto.get("measured") else "not measured"
        said.append(f"{veto['name']} {word} (E {_e(veto.get('e'))} of {_e(veto.get('e_needed'))}, {n} users)")
    return f". Vetoes: {', '.join(said)}." if said else ""


def _e(value: Any) -> str:
    found = number(value)
    return ABSENT if found is None else f"{found:.3g}"


def _margin(item: Item) -> str:
    margin = number(item.get("margin"))
    return ABSENT if margin is None else f"{general(100 * margin)} points"


def _usable(item: Item) -> Sequence[Item]:
    return [p for p in item.get("points") or () if None not in (number(p.get("judged")), number(p.get("difference")))]


def _reach(items: Sequence[Item]) -> float:
    """The half height of all panels: what the decisions were made on; early, wider intervals are cut at the edge."""
    wanted = [1.5 * (number(item.get("margin")) or 0.0) for item in items]
    for item in items:
        last = _usable(item)[-1]
        wanted += [1.15 * abs(v) for name in ("difference", "low", "high") if (v := number(last.get(name))) is not None]
    return min(max([*wanted, 0.1]), 0.5)


def _picture(key: str, item: Item, seen: Sequence[Item], reach: float) -> Safe:
    last, margin = seen[-1], number(item.get("margin"))
    judged = [number(p["judged"]) or 0.0 for p in seen]
    x = Scale(0.0, max(*judged, 1.0) * 1.02, _LEFT, _RIGHT)
    frame = Frame(x, Scale(-reach, reach, _FLOOR, _TOP))
    difference = Series("difference", "s1", [_point(p) for p in seen])
    hints = Series("looks", "s1 hint", [_told(p) for p in _some(seen[:-1])])
    end = Series("decision", "s1", [_told(last, whisker=True)], mark="square")
    said = f"{points_interval(_estimate(last))} points at {count(last['judged'])} judged users"
    x_ticks = [(t, count(t)) for t in x.ticks(4)]
    y_ticks = [(t, points(t).removesuffix(".0")) for t in frame.y.ticks(5)]
    labels = [EndLabel(0.0, "0", "ref")]
    if margin is not None:
        labels.append(EndLabel(-margin, f"{MINUS}margin", "ref"))
    replies = _reply_rates(seen, x, x_ticks)
    return svg(
        key,
        (_WIDTH, _HEIGHT if replies else _FLOOR + 42),
        _title(item),
        f"Satisfaction, canary minus stable, with its confidence sequence: {said}; margin {_margin(item)}.",
        axes(
            frame,
            () if replies else x_ticks,
            y_ticks,
            y_title="canary − stable, points",
            x_title="" if replies else "judged users",
        ),
        rule(frame, 0.0, "zero"),
        None if margin is None else rule(frame, -margin, "reference"),
        clipped(
            frame,
            banded_line(frame, difference),
            upright(frame, judged[-1], "decision"),
            marks(frame, hints),
            marks(frame, end),
        ),
        end_labels(frame, labels),
        replies,
    )


def _reply_rates(seen: Sequence[Item], x: Scale, x_ticks: Sequence[tuple[float, str]]) -> Safe | None:
    """How many of either arm's users say anything: a version can look better by silencing those it displeases."""
    arms = [_rates(seen, "canary", "s2"), _rates(seen, "stable", "s4")]
    if not any(arm.points for arm in arms):
        return None
    frame = Frame(x, Scale(0.0, 1.0, _REPLY_FLOOR, _REPLY_TOP))
    ends = [
        EndLabel(arm.points[-1].y, f"{arm.label} {100 * arm.points[-1].y:.0f}", arm.kind) for arm in arms if arm.points
    ]
    return join(
        [
            axes(frame, x_ticks, [(0.0, "0"), (1.0, "100")], y_title="users who reply, %", x_title="judged users"),
            [banded_line(frame, arm) for arm in arms],
            end_labels(frame, ends),
        ]
    )


def _rates(seen: Sequence[Item], arm: str, kind: str) -> Series:
    found = [(number(p["judged"]) or 0.0, number(p.get(f"reply_{arm}"))) for p in seen]
    return Series(arm, kind, [Point(judged, rate) for judged, rate in found if rate is not None])


def _estimate(point: Item) -> Estimate:
    return Estimate(number(point["difference"]) or 0.0, number(point.get("low")), number(point.get("high")))


def _point(point: Item) -> Point:
    found = _estimate(point)
    return Point(number(point["judged"]) or 0.0, found.value, found.low, found.high)


def _told(point: Item, *, whisker: bool = False) -> Point:
    found = _estimate(point)
    note = (
        f"{count(point['judged'])} judged ({count(point.get('judged_canary'))} canary) after "
        f"{seconds(point.get('seconds'))}: {points_interval(found)} points; weight {percent(point.get('weight'))}, "
        f"reply rate {percent(point.get('reply_canary'))} canary, {percent(point.get('reply_stable'))} stable"
    )
    ends = (found.low, found.high) if whisker else (None, None)
    return Point(number(point["judged"]) or 0.0, found.value, *ends, note=note)


def _some(seen: Sequence[Item]) -> Sequence[Item]:
    return seen[:: max(1, len(seen) // _TOLD)]


def _weights(seen: Sequence[Item]) -> str:
    """The steps of the canary's weight, in their order."""
    weights = [w for p in seen if (w := number(p.get("weight"))) is not None]
    steps = [w for i, w in enumerate(weights) if i == 0 or w != weights[i - 1]]
    return "Canary weight " + (" → ".join(percent(w) for w in steps) or "not told")
