"""Intervals of several figures that hold together, from each unit's part in each: random signs of the units.

A figure that is nearly a sum of parts of independent units (influence functions) has their spread as its own. How many
standard errors the largest of several figures goes astray is read off the same parts under random signs, each draw
Studentised by itself: wild cluster bootstrap-t (Cameron, Gelbach & Miller 2008, Rademacher weights), sign-flipped score
contributions (Hemerik, Goeman & Finos 2020). Of few units that is wider than a normal law's, as Student's is; a plain
bootstrap in one standard error for all draws is not, and its own few draws make the quantile smaller still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: How often all units get signs, and how many signs are in memory at once: 32 MiB.
FLIPS, _BLOCK = 9_999, 4_000_000


def errors(parts: Floats) -> Floats:
    """(M,) standard errors of the sums of parts (G, M) of G units, G ≥ 1; each sum is near 0."""
    return _error((parts**2).sum(0), parts.sum(0), len(parts))


def widest(parts: Floats, level: float, generator: np.random.Generator, flips: int = FLIPS) -> float:
    """How many of their standard errors all sums of parts (G, M) keep within, in `level` of the flips."""
    count, squares = len(parts), (parts**2).sum(0)
    rows = max(1, _BLOCK // count)
    largest = []
    for start in range(0, flips, rows):
        signs = 2.0 * generator.integers(0, 2, (min(rows, flips - start), count), np.int8) - 1.0
        sums = signs @ parts
        with np.errstate(invalid="ignore", divide="ignore"):
            far = np.abs(sums) / _error(squares, sums, count)
        # Where every part is 0, so is how far their sum goes.
        largest.append(np.nan_to_num(far, nan=0.0).max(1, initial=0.0))
    return float(np.quantile(np.concatenate(largest), level, method="higher"))


def _error(squares: Floats, sums: Floats, count: int) -> Floats:
    # Rounding may leave a little less than nothing.
    found: Floats = np.sqrt(np.maximum(squares - sums**2 / count, 0.0) * count / max(count - 1, 1))
    return found
