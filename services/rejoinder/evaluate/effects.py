"""Main effects of a grid of runs: what one slot's level does against the base's, whatever the others are.

In a balanced grid this is the effect of an analysis of variance: the difference of two marginal means. It is taken cell
by cell, from two cells that differ in that slot alone, so that it is paired in everything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rejoinder.evaluate.measured import interval

Floats = NDArray[np.float64]
#: Level of each slot, in the order of the slots.
Levels = tuple[str, ...]


def grid(slots: Mapping[str, Sequence[str]], full: bool = True) -> list[Levels]:
    """Cells, the base first: every combination of levels, or the base and each other level by itself. slots: slot →
    its levels, the base's first."""
    if full:
        return list(product(*slots.values()))
    base = tuple(levels[0] for levels in slots.values())
    others = [(i, level) for i, levels in enumerate(slots.values()) for level in levels[1:]]
    return [base] + [(*base[:i], level, *base[i + 1 :]) for i, level in others]


def compared(slots: Mapping[str, Sequence[str]], cells: Sequence[Levels], slot: str, level: str) -> list[list[Levels]]:
    """[cell with the level, the same cell with the base's] for every two that differ in this slot alone."""
    place, known = list(slots).index(slot), set(cells)
    base = slots[slot][0]
    twins = [(cell, (*cell[:place], base, *cell[place + 1 :])) for cell in cells if cell[place] == level]
    return [[cell, twin] for cell, twin in twins if twin in known]


def main_effect(
    slots: Mapping[str, Sequence[str]], found: Mapping[Levels, Floats], slot: str, level: str
) -> tuple[Floats, int]:
    """(N,) mean over the compared cells of the level's figures less the base's, and how many comparisons there are.

    found: cell → its figures (N,), of the same N things in every cell. ValueError where nothing is compared.
    """
    twins = compared(slots, list(found), slot, level)
    if not twins:
        raise ValueError(f"no two cells differ by {level} in {slot} alone")
    return np.mean([found[one] - found[other] for one, other in twins], axis=0), len(twins)


def spread(values: Floats, groups: Sequence[str] | Sequence[int], seed: int) -> dict[str, float]:
    """A mean with its bootstrap 95 % interval by group: {value, low, high}. The same draws for the same seed."""
    mean, low, high, _ = interval(values, [str(group) for group in groups], np.random.default_rng(seed))
    return {"value": mean, "low": low, "high": high}
