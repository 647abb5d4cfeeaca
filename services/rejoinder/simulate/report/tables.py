"""The tables: rounds with their gates, pushed versions, parity, and where the time went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.plots.document import table
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import (
    ABSENT,
    Estimate,
    count,
    decimal,
    general,
    general_interval,
    named,
    number,
    percent,
    percent_interval,
    points_interval,
    seconds,
)
from rejoinder.simulate.report.headline import DEMANDS, as_demanded, verdict_of

Item = Mapping[str, Any]
_SIGNS = {"pass": ("✓", "good"), "fail": ("✗", "bad")}


def rounds(result: Item) -> Safe | None:
    rows = result.get("rounds") or ()
    columns = (
        "round",
        "version",
        "pairs",
        "first answer",
        "after a wish",
        "gain, points",
        "facts",
        "words",
        "KL",
        "reward: training, gate",
        "outcome",
        "promoted",
    )
    if not rows:
        return None
    name = "With 95 % intervals; the gain is paired, person by person"
    return table(name, columns, [_round(row) for row in rows], [_gate(row) for row in rows])


def _round(row: Item) -> Sequence[Child]:
    reward = row.get("reward") or {}
    return (
        general(row.get("round")),
        el("code", named(row.get("version"))),
        count(row.get("pairs")),
        percent_interval(Estimate.of(row.get("first_answer"))),
        percent_interval(Estimate.of(row.get("after_wish"))),
        points_interval(Estimate.of(row.get("paired_gain"))),
        percent(row.get("facts")),
        decimal(row.get("words")),
        general(row.get("kl")),
        f"{general(reward['train'])}, {general(reward.get('gate'))}" if "train" in reward else ABSENT,
        join([named(row.get("outcome")), _reasons(row)]),
        _yes_no(bool(row.get("promoted"))),
    )


def _gate(row: Item) -> Safe | None:
    measures = [el("li", _measure(measure)) for measure in row.get("gate") or ()]
    return el("ul", el("li", "gate", class_="quiet"), measures, class_="measures") if measures else None


def _measure(measure: Item) -> Safe:
    outcome = str(measure.get("outcome") or "")
    sign, kind = _SIGNS.get(outcome, ("○", "quiet"))
    figures = general_interval(Estimate.of(measure))
    return join(
        [
            el("span", f"{sign} {outcome}", class_=kind),
            f" {named(measure.get('name'))} {figures}, n {count(measure.get('n'))}",
        ]
    )


def wishes(result: Item) -> Safe | None:
    """User-guided evaluation: what could be measured of what evaluation users missed, and whether it is met."""
    found = [(row, row["wishes"]) for row in result.get("rounds") or () if row.get("wishes")]
    columns = (
        "round",
        "dissatisfied turns",
        "checked by rule",
        "read by a judge",
        "unmeasured",
        "met before",
        "met after",
        "gain, points",
        "answers",
        "users",
    )
    rows = [
        (
            general(row.get("round")),
            count(told.get("said")),
            percent(told.get("checkable")),
            percent(told.get("judged")),
            percent(told.get("unmeasured")),
            percent_interval(Estimate.of(told.get("before"))),
            percent_interval(Estimate.of(told.get("after"))),
            points_interval(Estimate.of(told.get("gain"))),
            count(told.get("n")),
            count(told.get("users")),
        )
        for row, told in found
    ]
    return table("Wishes that a rule checks, answered unasked by both versions", columns, rows) if rows else None


def pushes(result: Item) -> Safe | None:
    items = result.get("pushes") or ()
    columns = (
        "pushed",
        "version",
        "verdict",
        "action",
        "demanded",
        "as demanded",
        "judged users",
        "exposed users",
        "holdout users exposed",
    )
    if not items:
        return None
    overrides = [el("span", f"override: {named(item.get('override'))}", class_="quiet") for item in items]
    return table("Each by a recorded override", columns, [_push(item) for item in items], overrides)


def _push(push: Item) -> Sequence[Child]:
    met = as_demanded(push)
    kind = named(push.get("kind"))
    return (
        kind,
        el("code", named(push.get("version"))),
        join([verdict_of(push), _reasons(push)]),
        named(push.get("action")),
        DEMANDS[kind][0] if kind in DEMANDS else ABSENT,
        ABSENT if met is None else _yes_no(met),
        count(push.get("judged")),
        count(push.get("exposed_users")),
        _none_wanted(push.get("holdout_exposed")),
    )


def parity(result: Item) -> Safe | None:
    found = result.get("parity")
    if not found:
        return None
    columns = ("acknowledged", "stored", "lost", "duplicated", "stored though never acknowledged")
    row = (
        count(found.get("acknowledged")),
        count(found.get("stored")),
        _none_wanted(found.get("lost")),
        _none_wanted(found.get("duplicated")),
        count(found.get("unacked_stored")),
    )
    return table("Events by id: every acknowledged one is stored exactly once", columns, [row])


def timeline(result: Item) -> Safe | None:
    stages = [(named(s.get("stage")), number(s.get("seconds"))) for s in result.get("timeline") or ()]
    longest = max((took or 0.0 for _, took in stages), default=0.0) or 1.0
    if not stages:
        return None
    lines = [
        el(
            "li",
            el("span", stage, class_="stage"),
            _bar((took or 0.0) / longest),
            el("span", seconds(took)),
        )
        for stage, took in stages
    ]
    return el("ol", lines, class_="timeline")


def _bar(share: float) -> Safe:
    fill = el("rect", x=0.0, y=0.0, width=max(100 * share, 0.4), height=10.0, class_="bar")
    drawn = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "aria_hidden": "true"}
    return el("svg", fill, xmlns="http://www.w3.org/2000/svg", **drawn)


def _reasons(item: Item) -> Safe | None:
    reasons = [str(reason) for reason in item.get("reasons") or ()]
    return el("div", "; ".join(reasons), class_="quiet") if reasons else None


def _yes_no(value: bool) -> Safe:
    return el("span", "✓ yes", class_="good") if value else el("span", "✗ no", class_="bad")


def _none_wanted(value: Any) -> Safe:
    """A count that must be zero; what is absent is neither good nor bad."""
    return el("span", count(value), class_="bad") if number(value) else join(count(value))
