"""Paired differences and what is asked of them: a claim holds when the lower end of its 95 % interval clears its floor.

Arms are paired by seed and data, so the interval is Student's over the seeds' differences; fewer than eight seeds are
refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
LEAST_SEEDS = 8


@dataclass(frozen=True)
class Interval:
    """mean and its 95 % interval over n seeds."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Claim:
    """name: what is compared. floor: what the lower end has to exceed."""

    name: str
    interval: Interval
    floor: float

    @property
    def holds(self) -> bool:
        return self.interval.low > self.floor

    def __str__(self) -> str:
        return f"{self.name}: {self.interval} {'>' if self.holds else 'NOT >'} {self.floor:g}"


@dataclass(frozen=True)
class Found:
    """What a miniature measured: the row's claims, the same claims of its sabotaged control, figures shown beside."""

    claims: Sequence[Claim]
    control: Sequence[Claim]
    beside: Mapping[str, Interval] = field(default_factory=dict)


def interval(values: Sequence[float] | Floats) -> Interval:
    """Of one value a seed. ValueError below eight seeds or where a value is not finite."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < LEAST_SEEDS:
        raise ValueError(f"{len(found)} seeds are fewer than {LEAST_SEEDS}")
    if not np.isfinite(found).all():
        raise ValueError("a seed has no finite value")
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return Interval(float(found.mean()), float(found.mean() - half), float(found.mean() + half), len(found))


def exceeds(name: str, values: Sequence[float] | Floats, floor: float) -> Claim:
    """The claim that the mean of `values`, one a seed, lies above `floor`."""
    return Claim(name, interval(values), floor)


def shown(claims: Sequence[Claim]) -> bool:
    """Whether every claim of a row holds."""
    return all(claim.holds for claim in claims)


def said(claims: Sequence[Claim]) -> str:
    """One line a claim, for a failing assertion and for the report."""
    return "\n".join(str(claim) for claim in claims)
