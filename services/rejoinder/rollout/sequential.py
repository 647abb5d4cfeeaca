"""Tests by betting, one unit of assignment at a time: harm, gain and non-inferiority, valid at every look.

A score y in [0, 1] comes with A (1 = canary) and w, the probability that it was the canary. m and v are the mean and
variance of all *earlier* scores (two pseudo-users at the base rate, v >= .02), so every bet is made before its draw:

    E_worse = mean over d of prod [1 + d (w - A)(y - m)/v],  d clipped to 0.9 v / (max(m, 1-m) max(w, 1-w))
    E_better: the sign turned
    E_ni    = mean over l of prod [1 + .95 l X/b],  X = (A/w - (1-A)/(1-w))(y - m) + margin,
              b = max(m/w, (1-m)/(1-w))

Under its null each is a supermartingale that starts at 1, so P(ever >= 1/alpha) <= alpha (Ville 1939) for any number
of looks, weight schedule and drifting base rate. Wealth is kept as logarithms: nothing overflows, and a state that went
through JSON goes on bit-equal. Betting: arXiv 2010.09686 (Waudby-Smith and Ramdas).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.core.errors import InvalidArgument

DELTAS = (0.03, 0.06, 0.10, 0.15, 0.22, 0.35)
LAMBDAS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9)
PSEUDO_UNITS = 2.0
VARIANCE_FLOOR = 0.02
CLIP = 0.9
NI_CLIP = 0.95


def checked(score: float, weight: float) -> None:
    """InvalidArgument unless score is in [0, 1] and weight in (0, 1): NaN is refused, never counted."""
    if not 0.0 <= score <= 1.0:
        raise InvalidArgument("a score must lie in [0, 1]", field="score")
    if not 0.0 < weight < 1.0:
        raise InvalidArgument("a weight of 0 or 1 says nothing about the arms", field="weight")


class Moments:
    """Mean and variance of the scores so far. owns: n, sum and sum of squares, pseudo-units included in `mean`."""

    def __init__(self, base_rate: float, n: int = 0, total: float = 0.0, squares: float = 0.0) -> None:
        if not 0.0 <= base_rate <= 1.0:
            raise InvalidArgument("a base rate must lie in [0, 1]", field="base_rate")
        self.base_rate, self.n, self.total, self.squares = base_rate, n, total, squares

    @property
    def mean(self) -> float:
        return (PSEUDO_UNITS * self.base_rate + self.total) / (self.n + PSEUDO_UNITS)

    @property
    def variance(self) -> float:
        mean = self.mean
        # A pseudo-unit is a coin at the base rate, so its expected square is the base rate too.
        second = (PSEUDO_UNITS * self.base_rate + self.squares) / (self.n + PSEUDO_UNITS)
        return max(second - mean * mean, VARIANCE_FLOOR)

    def add(self, score: float) -> None:
        self.n += 1
        self.total += score
        self.squares += score * score

    def as_dict(self) -> dict[str, Any]:
        return {"base_rate": self.base_rate, "n": self.n, "total": self.total, "squares": self.squares}


class Wealth:
    """A mixture of bets. owns: the log wealth of each and the greatest log of their mean so far."""

    def __init__(self, logs: Sequence[float], peak: float = 0.0) -> None:
        self.logs, self.peak = list(logs), peak

    @property
    def log_e(self) -> float:
        """Natural logarithm of the mean wealth."""
        return log_mean_exp(self.logs)

    def bet(self, factors: Sequence[float]) -> None:
        """Multiplies the i-th wealth by 1 + factors[i]."""
        self.logs = [log + math.log1p(factor) for log, factor in zip(self.logs, factors, strict=True)]
        # A mean is never above its greatest part, so most units need not compute it.
        if max(self.logs) > self.peak:
            self.peak = max(self.peak, self.log_e)

    def as_dict(self) -> dict[str, Any]:
        return {"logs": self.logs, "peak": self.peak}


class SequentialTest:
    """The three processes of one kind of score. owns: moments and wealths; O(1) per unit."""

    def __init__(self, base_rate: float, margin: float = 0.05) -> None:
        """base_rate: the mean score of stable before the rollout. margin: the loss that counts as none, in score."""
        self.margin = margin
        self.moments = Moments(base_rate)
        self.worse = Wealth([0.0] * len(DELTAS))
        self.better = Wealth([0.0] * len(DELTAS))
        self.not_worse = Wealth([0.0] * len(LAMBDAS))

    def add(self, score: float, canary: bool, weight: float, margin: float | None = None) -> None:
        """One unit. margin: this unit's, where it moves with what was known before it (else the test's own)."""
        checked(score, weight)
        m, v = self.moments.mean, self.moments.variance
        a = 1.0 if canary else 0.0
        x = (weight - a) * (score - m) / v
        clip = CLIP * v / (max(m, 1 - m) * max(weight, 1 - weight))
        bets = [min(delta, clip) * x for delta in DELTAS]
        self.worse.bet(bets)
        self.better.bet([-bet for bet in bets])
        gap = (a / weight - (1 - a) / (1 - weight)) * (score - m) + (self.margin if margin is None else margin)
        bound = max(m / weight, (1 - m) / (1 - weight))
        self.not_worse.bet([NI_CLIP * lam * gap / bound for lam in LAMBDAS])
        self.moments.add(score)

    @property
    def log_e_two_sided(self) -> float:
        """Log of the mean of both one-sided processes: a test of any difference."""
        return log_mean_exp([self.worse.log_e, self.better.log_e])

    def as_dict(self) -> dict[str, Any]:
        return {
            "margin": self.margin,
            "moments": self.moments.as_dict(),
            "worse": self.worse.as_dict(),
            "better": self.better.as_dict(),
            "not_worse": self.not_worse.as_dict(),
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SequentialTest:
        test = cls(value["moments"]["base_rate"], value["margin"])
        test.moments = Moments(**value["moments"])
        test.worse, test.better = Wealth(**value["worse"]), Wealth(**value["better"])
        test.not_worse = Wealth(**value["not_worse"])
        return test


def log_mean_exp(logs: Sequence[float]) -> float:
    """log(mean(exp(logs))) without overflow."""
    top = max(logs)
    return top + math.log(sum(math.exp(log - top) for log in logs) / len(logs))
