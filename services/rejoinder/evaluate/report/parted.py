"""Where what is trained on and what it stands for have parted: rounds whose version the training users' head likes
better than stable's answers, and somebody whom no round learns from likes less. By intervals: a point shows nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.evaluate.report.rounds import measure_of

Item = Mapping[str, Any]
#: Of two answers none is the better one.
EVEN = 0.5
#: Who may say that a version got worse, as the page calls them.
AGAINST = ("gate users' head", "gate's judge", "users")


def parted(report: Item) -> dict[str, Any]:
    """{"measured": rounds of which the training head and somebody of AGAINST say something, "rounds": [{"number",
    "version", "against": [of AGAINST]}]}."""
    served = served_of(report)
    told = [(row, _fell(row, served, report["base"])) for row in report["rounds"] if head_of(row, "train")]
    told = [(row, fell) for row, fell in told if fell]
    return {
        "measured": [row["number"] for row, _ in told],
        "rounds": [
            {"number": row["number"], "version": row["version"], "against": against}
            for row, fell in told
            if _above(head_of(row, "train")) and (against := [name for name, below in fell.items() if below])
        ],
    }


def head_of(row: Item, name: str) -> Item | None:
    """What this head said of a round's version, None where it was not measured. name: of `evaluate.rewards.HEADS`."""
    found = (row["rewards"] or {}).get(name)
    return found if found and found["value"] is not None else None


def judge_of(row: Item) -> Item | None:
    """The gate's win rate, None where it was not measured."""
    found = measure_of(row, "win_rate")
    return found if found and found["value"] is not None else None


def served_of(report: Item) -> dict[str, Item]:
    """Version → its users' satisfaction, of those that any user judged."""
    versions: Sequence[Item] = report["satisfaction"]["versions"]
    return {v["whole"]["group"]: v["whole"] for v in versions if v["whole"]["users"]}


def _fell(row: Item, served: Mapping[str, Item], base: str) -> dict[str, bool]:
    """Of AGAINST, who was asked and whether their interval lies below stable's."""
    gate, judge = head_of(row, "gate"), judge_of(row)
    now, before = served.get(row["version"]), served.get(row["rewards"]["stable"] or base)
    found = {}
    for name, figure in zip(AGAINST, (gate, judge), strict=False):
        if figure and figure["high"] is not None:
            found[name] = figure["high"] < EVEN
    if now and before:
        found[AGAINST[-1]] = now["high"] < before["low"]
    return found


def _above(figure: Item | None) -> bool:
    return bool(figure and figure["low"] is not None and figure["low"] > EVEN)
