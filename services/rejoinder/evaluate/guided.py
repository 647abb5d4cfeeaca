"""User-guided evaluation (2408.15549): does an answer meet what the user said they want, unasked?

The paper gives a judge the user's words as a checklist. Ours tells apart what a rule can check (checkers.py), what a
judge at a configured endpoint would read, and the rest, which is unmeasured: the shares stand beside the figures,
because a rate over the checkable wishes is no rate over all. Both versions answer the same prompts with the same seeds
and are not shown the wish, so that neither has the disadvantage of being the answer that somebody complained about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rejoinder.evaluate.checkers import Limits, check, voiced
from rejoinder.evaluate.measured import interval


@dataclass(frozen=True)
class Guided:
    """One user's checkable wishes, and what two versions answer without being told them. group: the user."""

    group: str
    wishes: tuple[str, ...]
    before: str
    after: str


def shares(said: Sequence[str]) -> dict[str, Any]:
    """Of dissatisfied turns: how many there are, and the shares that a rule checks, a judge read, and nobody measured.

    No judge is configured anywhere yet: its share is 0, and what it would read is unmeasured.
    """
    checkable = sum(bool(voiced(text)) for text in said)
    share = checkable / len(said) if said else 0.0
    rest = 1.0 - share if said else 0.0
    return {"said": len(said), "checkable": share, "judged": 0.0, "unmeasured": rest}


def met(rows: Sequence[Guided], rng: np.random.Generator, limits: Limits = Limits()) -> dict[str, Any]:
    """`before`, `after` and `gain` as value, low and high: the mean share of an answer's wishes that it meets, with
    95 % bootstraps by user; None without a row. n: answers of either version; users: of whom."""
    groups = [row.group for row in rows]
    before, after = (
        np.array([check(getattr(row, name), row.wishes, limits).met for row in rows], float)
        for name in ("before", "after")
    )
    figures: dict[str, Any] = {"n": len(rows), "users": len(set(groups))}
    for name, values in (("before", before), ("after", after), ("gain", after - before)):
        figures[name] = None
        if len(values):
            value, low, high, _ = interval(values, groups, rng)
            figures[name] = {"value": value, "low": low, "high": high}
    return figures
