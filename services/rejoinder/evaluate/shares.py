"""Shares with their intervals."""

from __future__ import annotations

import math

#: Deviations of a normal that 95 % lie within.
Z95 = 1.959964


def wilson(hits: float, n: float) -> dict[str, float]:
    """A share of n > 0 and its 95 % interval (Wilson 1927): {value, low, high}."""
    share, extra = hits / n, Z95**2 / n
    middle = (share + extra / 2) / (1 + extra)
    half = Z95 / (1 + extra) * math.sqrt(share * (1 - share) / n + extra / (4 * n))
    return {"value": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}
