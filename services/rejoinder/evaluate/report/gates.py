"""The rounds as a table, and what the gate measured of each: every measure with its interval against its threshold."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.evaluate.report.parts import SIGNS, Item, beside, estimate, exact, figure, missing, outcome, tabled
from rejoinder.evaluate.report.rounds import kl_of
from rejoinder.plots.forest import Estimated, Line, Mark, forest
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import ABSENT, count, general, general_interval, moment, named
from rejoinder.plots.numerals import Estimate as Written

#: Rounds that a plot shows, the latest; tables have all.
DRAWN = 20
#: Measure → what its axis shows, and the side of the threshold where it should lie: -1 below, 1 above, 0 not known.
AXES = {
    "pair_accuracy": ("gain in pairs ranked right, a token", 1),
    "win_rate": ("share preferred to stable's answer", 1),
    "length": ("mean log ratio of lengths to stable's", -1),
    "kl": ("KL to the original, nats a token", -1),
    "norms": ("rise of the share that breaks a norm", -1),
    "parity": ("largest difference of log p, nats", -1),
    "probes": ("change of the share that holds", 1),
}


def rounds(report: Item) -> Child:
    found = report["rounds"]
    policy = report["policy"]
    if not found:
        others = [name for name in report["policies"] if name != policy]
        rest = f" Rounds stand here of: {', '.join(others)} (--policy)." if others else ""
        return missing(
            f"No round of {policy} has begun.",
            f"rejoinder round run --policy {policy}",
            f".{rest}",
            by=" Begin one with ",
        )
    columns = ("round", "began", "ended", "outcome", "version", "because", "new pairs", "trained on", "KL", "state")
    return tabled("Rounds; times are UTC", columns, [_round(row, report["stable"]) for row in found])


def _round(row: Item, stable: str) -> Sequence[Child]:
    kl = kl_of(row)
    new, trained = (row["pairs"] or {}).get("new"), (row["train"] or {}).get("pairs")
    is_stable = bool(row["version"]) and row["version"] == stable
    state = "rolled back" if row["rolled_back"] else "stable now" if is_stable else ABSENT
    return (
        exact(row["number"]),
        _minute(row["began"]),
        _minute(row["ended"]),
        row["outcome"],
        el("code", named(row["version"])),
        "; ".join(row["reasons"]) or ABSENT,
        exact(new, count(new)),
        exact(trained, count(trained)),
        join([estimate(kl), "" if not kl or kl["by"] == "gate" else " (train stage)"]),
        state,
    )


def _minute(since: float | None) -> str:
    return moment(since).removesuffix(" UTC")[:16]


def gates(report: Item) -> Child:
    measured = [row for row in report["rounds"] if row["measures"]]
    if not measured:
        return missing("No round has come to its gate.", "rejoinder round run", ".")
    names = list(dict.fromkeys(measure["name"] for row in measured for measure in row["measures"]))
    drawn = measured[-DRAWN:]
    pictures = [_picture(i, name, drawn) for i, name in enumerate(names)]
    columns = ("round", "measure", "outcome", "value [95 %]", "threshold", "n", "users", "veto", "why")
    rows = [_measure(row, measure) for row in measured for measure in row["measures"]]
    never = [_never(name, drawn) for name, picture in zip(names, pictures, strict=True) if picture is None]
    return join(
        [
            beside(*pictures) if any(pictures) else None,
            el("p", f"Drawn are the latest {DRAWN} rounds.", class_="quiet") if len(measured) > DRAWN else None,
            el("ul", never, class_="never") if never else None,
            tabled("Every measure of every gate", columns, rows),
        ]
    )


def _of(row: Item, name: str) -> Item | None:
    return next((measure for measure in row["measures"] if measure["name"] == name), None)


def _picture(place: int, name: str, rows: Sequence[Item]) -> Safe | None:
    """None where no round measured it."""
    found = [(row, measure) for row in rows if (measure := _of(row, name))]
    told = [measure for _, measure in found if measure["value"] is not None]
    if not told:
        return None
    axis, side = AXES.get(name, ("value", 0))
    thresholds = [m["threshold"] for m in told if m["threshold"] is not None]
    mark = Mark(thresholds[-1], f"threshold {general(thresholds[-1])}", side) if thresholds else None
    lines = [_line(row, measure) for row, measure in found]
    bound = {-1: "at most", 1: "at least", 0: "threshold"}[side]
    veto = ", a veto" if told[-1]["veto"] else ""
    note = f"{bound} {general(thresholds[-1])}{veto}; the interval has to clear it." if thresholds else ""
    if len(set(thresholds)) > 1:
        note += " The threshold has changed; drawn is the latest."
    return figure(forest(f"gate-{place}", f"{name} by round", lines, axis, mark=mark), note, title=name)


def _line(row: Item, measure: Item) -> Line:
    sign, kind = SIGNS[measure["outcome"]]
    said = f"{sign} {measure['outcome']}"
    if measure["value"] is None:
        return Line(f"round {row['number']}", (), said, kind, measure["why"][:32])
    words = Written(measure["value"], measure["low"], measure["high"])
    note = f"round {row['number']} ({named(row['version'])}): {general_interval(words)}, n {count(measure['n'])}"
    colour = {"pass": "s3", "fail": "s2"}.get(measure["outcome"], "s1")
    low, high = (None, None) if measure["low"] == measure["high"] else (measure["low"], measure["high"])
    failed = measure["outcome"] == "fail"
    return Line(
        f"round {row['number']}", [Estimated(measure["value"], low, high, colour, note, square=failed)], said, kind
    )


def _never(name: str, rows: Sequence[Item]) -> Safe:
    found = [(row["number"], m) for row in rows if (m := _of(row, name))]
    number, last = found[-1]
    why = f": {last['why']}" if last["why"] else ""
    veto = " It is a veto: the gate stays shut until it is measured." if last["veto"] else ""
    return el("li", el("b", name), f" was never measured; round {number}{why}.{veto}")


def _measure(row: Item, measure: Item) -> Sequence[Child]:
    return (
        exact(row["number"]),
        measure["name"],
        outcome(measure["outcome"]),
        estimate(measure),
        exact(measure["threshold"]),
        exact(measure["n"], count(measure["n"])),
        exact(measure["groups"], count(measure["groups"])),
        "yes" if measure["veto"] else "no",
        measure["why"] or ABSENT,
    )
