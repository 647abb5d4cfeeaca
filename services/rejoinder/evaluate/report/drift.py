"""Length and KL by round, and whether what is optimised has parted from what it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.evaluate.report.parted import EVEN, head_of, judge_of, parted, served_of
from rejoinder.evaluate.report.parts import Item, beside, estimate, exact, figure, missing, share, tabled
from rejoinder.evaluate.report.rounds import kl_of, measure_of
from rejoinder.evaluate.rewards import HEADS
from rejoinder.plots.forest import Estimated, Line, forest
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import ABSENT, count, general, named, percent
from rejoinder.plots.panels import Panel, stack
from rejoinder.plots.plot import Point, Scale, Series

#: Rounds that a plot shows, the latest.
DRAWN = 40


def costs(report: Item) -> Child:
    rows = [row for row in report["rounds"] if kl_of(row) or (row["train"] or {}).get("length_ratio") is not None]
    if not rows:
        return missing("No round has trained a version.", "rejoinder round run", ".")
    drawn = rows[-DRAWN:]
    kl = Series("KL", "s1", [_by_round(row, kl_of(row)) for row in drawn if kl_of(row)])
    ratios = [(row, (row["train"] or {}).get("length_ratio")) for row in drawn]
    length = Series("length", "s2", [_by_round(row, _plain(v)) for row, v in ratios if v is not None], "square")
    bound = next((m["threshold"] for row in drawn[::-1] if (m := measure_of(row, "kl")) and m["threshold"]), None)
    panels = {
        "KL": _panel([kl], "KL to the original, nats a token", general, also=0.0),
        "length": _panel([length], "length, times the original's answers", lambda v: f"× {general(v)}", also=1.0),
    }
    numbers = [row["number"] for row in drawn]
    every = max(1, -(-len(numbers) // 10))
    ticks = [(float(n), str(n)) for n in numbers[::every]]
    span = (numbers[0] - 0.4, numbers[-1] + 0.4)
    pictures = [
        stack(f"cost-{name}", f"{name} by round", [panel], span, ticks, "round", (420.0, 230.0))
        for name, panel in panels.items()
    ]
    notes = ("Hollow: refused by the gate." + (f" The gate's bound is {general(bound)}." if bound else ""), "")
    figures = beside(*map(figure, pictures, notes))
    columns = (
        "round",
        "KL [95 %]",
        "measured by",
        "length, of the original's",
        "tokens an answer",
        "length at the gate",
    )
    lines = []
    for row in rows:
        found, train = kl_of(row), row["train"] or {}
        by = {"gate": "gate's users", "train": "train stage"}[found["by"]] if found else ABSENT
        told = (exact(train.get("length_ratio")), exact(train.get("tokens")), estimate(measure_of(row, "length")))
        lines.append((exact(row["number"]), estimate(found), by, *told))
    return join([figures, tabled("KL and length by round", columns, lines)])


def _plain(value: float) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None}


def _by_round(row: Item, found: Item | None) -> Point:
    told = found or _plain(0.0)
    return _point(row, float(row["number"]), told)


def _point(row: Item, x: float, found: Item, tag: str = "") -> Point:
    between = "" if found["low"] is None else f" [{general(found['low'])}, {general(found['high'])}]"
    note = f"round {row['number']} ({named(row['version'])}): {general(found['value'])}{between}"
    hollow = row["outcome"] != "published"
    return Point(x, found["value"], found["low"], found["high"], note, hollow, tag)


def _panel(
    series: Sequence[Series], title: str, written: Any, *, unit: float = 1.0, also: float | None = None
) -> Panel:
    """written: how a value is told. unit: the axis is written in `unit` times the value. also: a value that the axis
    always shows."""
    ends = [v for s in series for p in s.points for v in (p.y, p.low, p.high) if v is not None]
    ends += [] if also is None else [also]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.18 * (high - low) or 0.1
    span = (0.0 if also == low == 0.0 else low - pad, high + pad)
    return Panel(series, span, title, lambda t: general(unit * t), written, "unmeasured")


def parting(report: Item) -> Child:
    """Over-optimisation: what is trained on, what a judge of its own says, and what users say, over one axis of KL."""
    rows = [row for row in report["rounds"] if kl_of(row)]
    if not rows:
        return missing("No round has measured how far its version went from the original.", "rejoinder round run", ".")
    x = {row["number"]: found["value"] for row in rows if (found := kl_of(row))}
    far = max(x.values()) or 1.0
    served = served_of(report)

    def line(name: str, kind: str, of: Any, square: bool = False, tags: bool = False) -> Series:
        found = [(row, value) for row in rows[-DRAWN:] if (value := of(row))]
        found = sorted(found, key=lambda pair: x[pair[0]["number"]])
        points, tagged = [], -far
        for row, value in found:
            at = x[row["number"]]
            # Room for two digits; the others say their round when pointed at.
            tag = tags and at - tagged >= 0.06 * far
            tagged = at if tag else tagged
            points.append(_point(row, at, value, str(row["number"]) if tag else ""))
        return Series(name, kind, points, "square" if square else "circle")

    heads = [
        line("training", "s1", lambda row: head_of(row, "train")),
        line("gate", "s2", lambda row: head_of(row, "gate"), square=True),
        line("judge", "s4", judge_of),
    ]
    margin = line("margin", "s1", _margin, tags=True)
    ranked = line("pairs", "s2", _ranked, square=True)
    users = line("users", "s3", lambda row: _users(served.get(row["version"])))
    panels = [
        _panel([margin], "training: the objective's own reward margin, nats", general, also=0.0),
        _panel(heads, "preferred to stable's answer by whose head, %", percent, unit=100, also=EVEN),
        _panel([ranked], "gate: pairs ranked right, %", percent, unit=100),
        _panel([users], "users who were served it: satisfied, %", percent, unit=100),
    ]
    span = Scale(min(0.0, *x.values()) - 0.04 * far, 1.08 * far, 0.0, 1.0)
    ticks = [(t, general(t)) for t in span.ticks(4)]
    picture = stack(
        "parting",
        "Reward and satisfaction against KL",
        panels,
        (span.low, span.high),
        ticks,
        "KL to the original, nats a token",
        (420.0, 620.0),
    )
    note = (
        "The small figure is the round; hollow: refused. Training and gate: heads fitted on the pairs that were "
        "trained on and on those of the gate's users, who are nobody of the former; judge: the head that gate.head "
        "names. All compare the same answers with those of the version that was stable then, the judge those of equal "
        "length. The margin is of the last step's pairs, and the objective's alone: it has no scale that two "
        "objectives share."
    )
    return join([_said(report, rows), figure(picture, note, broad=True), _table(rows, served)])


def _said(report: Item, rows: Sequence[Item]) -> Child:
    """Whether they have parted, and what was not measured: that is said, not drawn."""
    found = parted(report)
    told = [_apart(each) for each in found["rounds"]]
    if not told and found["measured"]:
        numbers = ", ".join(map(str, found["measured"]))
        told = [el("li", f"Nothing has parted beyond its intervals in round {numbers}.")]
    why = {name: _unmeasured(rows, name) for name in HEADS}
    if why["train"]:
        told.append(el("li", el("b", "training head's reward"), f" unmeasured: {why['train']}."))
    if why["gate"] and not any(judge_of(row) for row in rows):
        asked = [m for row in rows if (m := measure_of(row, "win_rate"))]
        judge = asked[-1]["why"] if asked else "the recipe's gate has no measure win_rate"
        need = " A second head (gate.head) and the measure win_rate in the recipe make a judge."
        told.append(el("li", el("b", "gate head's reward"), f" unmeasured: {why['gate']}; judge: {judge}.{need}"))
    return el("ul", told, class_="never") if told else None


def _apart(found: Item) -> Safe:
    words = f": the training users' head likes its answers better than stable's, {_listed(found['against'])} less"
    return el(
        "li",
        el("b", f"Round {found['number']} has parted"),
        f"{words}. That is over-optimisation if it lasts: "
        "intervals are of the prompts and people alone (another fit of the heads moves them too), each by itself, and "
        "people's satisfaction is of versions that answered one after the other.",
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"the {name}" for name in names)


def _unmeasured(rows: Sequence[Item], name: str) -> str:
    """Why no round has this head's figure, "" where one has."""
    if any(head_of(row, name) for row in rows):
        return ""
    why = next((row["rewards"][name]["why"] for row in reversed(rows) if row["rewards"]), "")
    return why or "no round's gate sampled answers for it (gate.samples, and a policy service)"


def _margin(row: Item) -> Item | None:
    value = (row["train"] or {}).get("reward_margin")
    return None if value is None else _plain(value)


def _ranked(row: Item) -> Item | None:
    found = measure_of(row, "pair_accuracy")
    return (found or {}).get("accuracy", {}).get("after")


def _users(whole: Item | None) -> Item | None:
    return whole and {"value": whole["satisfaction"], "low": whole["low"], "high": whole["high"]}


def _table(rows: Sequence[Item], served: Mapping[str, Item]) -> Child:
    columns = (
        "round",
        "KL",
        "training head, %",
        "training margin",
        "gate users' head, %",
        "judge: win rate, %",
        "pairs ranked right, %",
        "satisfied, %",
        "users",
    )
    lines = []
    for row in rows:
        users = served.get(row["version"])
        lines.append(
            (
                exact(row["number"]),
                estimate(kl_of(row)),
                _or_unmeasured(head_of(row, "train")),
                exact((row["train"] or {}).get("reward_margin")),
                _or_unmeasured(head_of(row, "gate")),
                _or_unmeasured(judge_of(row)),
                _or_unmeasured(_ranked(row)),
                _or_unmeasured(_users(users)),
                exact(users["users"], count(users["users"])) if users else ABSENT,
            )
        )
    return tabled("Reward and satisfaction by round", columns, lines)


def _or_unmeasured(found: Item | None) -> Child:
    return estimate(found, unit=100) if found else "unmeasured"


def wishes(report: Item) -> Child:
    """User-guided evaluation: what evaluation users missed, and whether either version meets it unasked."""
    rows = [row for row in report["rounds"] if row["wishes"]]
    if not rows:
        return None
    lines = []
    for row in [row for row in rows if row["wishes"]["after"]][-DRAWN // 2 :]:
        told = row["wishes"]
        shown = [
            Estimated(f["value"], f["low"], f["high"], kind, f"round {row['number']}, {name}", square=name == "after")
            for name, kind in (("before", "s4"), ("after", "s1"))
            if (f := told[name])
        ]
        lines.append(Line(f"round {row['number']}", shown, f"n {count(told['n'])}"))
    columns = (
        "round",
        "dissatisfied turns",
        "a rule checks",
        "unmeasured",
        "met before, %",
        "met after, %",
        "gain, points",
        "n",
        "users",
    )
    told = [
        (
            exact(row["number"]),
            exact(row["wishes"]["said"]),
            share(row["wishes"]["checkable"]),
            share(row["wishes"]["unmeasured"]),
            *(estimate(row["wishes"][name], unit=100) for name in ("before", "after", "gain")),
            exact(row["wishes"]["n"]),
            exact(row["wishes"]["users"]),
        )
        for row in rows
    ]
    picture = None
    if lines:
        plot = forest("wishes", "Wishes met unasked", lines, "wishes met, %", unit=100)
        note = "Of each round above the stable version (circle), below the round's own (square)."
        picture = figure(plot, note, broad=True)
    return join([picture, tabled("Wishes of users of whom no round learns", columns, told)])
