"""A confidence sequence for the difference canary - stable, by inverting the non-inferiority test over a grid.

The test of sequential.py at margin -d asks whether the difference can be d or less; the lower bound is the greatest d
of the grid that was ever refused at alpha/2, the upper bound comes from the same bet turned round. The pair covers the
true difference at all times at once with probability 1 - alpha. For display: the verdict itself uses E-values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rejoinder.rollout.sequential import LAMBDAS, NI_CLIP, Moments, checked, log_mean_exp

#: Differences of mean score that are tested: every 0.01 up to 0.20 either way, coarser beyond.
_COARSE = (0.25, 0.3, 0.4, 0.5, 0.6, 0.8)
GRID = tuple(sorted([i / 100 for i in range(-20, 21)] + [sign * d for d in _COARSE for sign in (-1, 1)]))


class Interval:
    """owns: moments and, for each point of the grid, two mixtures of log wealth; O(len(GRID)) per unit."""

    def __init__(self, base_rate: float, alpha: float = 0.05) -> None:
        self.alpha = alpha
        self.moments = Moments(base_rate)
        self.low, self.high = -1.0, 1.0
        self._below = [[0.0] * len(LAMBDAS) for _ in GRID]
        self._above = [[0.0] * len(LAMBDAS) for _ in GRID]

    def add(self, score: float, canary: bool, weight: float) -> None:
        checked(score, weight)
        m, a = self.moments.mean, 1.0 if canary else 0.0
        gap = (a / weight - (1 - a) / (1 - weight)) * (score - m)
        fall = max(m / weight, (1 - m) / (1 - weight))
        rise = max((1 - m) / weight, m / (1 - weight))
        threshold = math.log(2 / self.alpha)
        low, high = self.low, self.high
        # A point once refused stays refused, and no mean reaches what its greatest part does not: both are skipped.
        for d, below, above in zip(GRID, self._below, self._above, strict=True):
            if d > self.low:
                _bet(below, (gap - d) / (fall + max(d, 0.0)))
                if max(below) >= threshold and log_mean_exp(below) >= threshold:
                    low = max(low, d)
            if d < self.high:
                _bet(above, (d - gap) / (rise + max(-d, 0.0)))
                if max(above) >= threshold and log_mean_exp(above) >= threshold:
                    high = min(high, d)
        self.low, self.high = low, high
        self.moments.add(score)

    def as_dict(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "moments": self.moments.as_dict(),
            "low": self.low,
            "high": self.high,
            "below": self._below,
            "above": self._above,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Interval:
        interval = cls(value["moments"]["base_rate"], value["alpha"])
        interval.moments = Moments(**value["moments"])
        interval.low, interval.high = value["low"], value["high"]
        interval._below = [list(row) for row in value["below"]]
        interval._above = [list(row) for row in value["above"]]
        return interval


def _bet(logs: list[float], ratio: float) -> None:
    for i, lam in enumerate(LAMBDAS):
        logs[i] += math.log1p(NI_CLIP * lam * ratio)
