"""What every measure returns: a value, its interval, how many it rests on, and pass / fail / unmeasured.

Pass means that the *interval* clears the threshold; below the least n it is unmeasured, and a veto passes only when it
is measured. Intervals are bootstraps by group (the user).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Outcome(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    UNMEASURED = "unmeasured"


@dataclass(frozen=True)
class Measured:
    """value, low, high: None where nothing was measured. threshold: what the interval has to clear. veto: must pass."""

    name: str
    outcome: Outcome
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    groups: int = 0
    threshold: float | None = None
    veto: bool = False
    why: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


def unmeasured(name: str, why: str, veto: bool = False, n: int = 0) -> Measured:
    return Measured(name, Outcome.UNMEASURED, n=n, veto=veto, why=why)


def interval(
    values: Sequence[float] | NDArray[np.float64], groups: Sequence[str], rng: np.random.Generator, draws: int = 1000
) -> tuple[float, float, float, int]:
    """Mean, 95 % bootstrap interval by group, number of groups. ValueError when there is no value."""
    if not len(values):
        raise ValueError("no value to take the mean of")
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    sums, sizes = np.bincount(member, weights=np.asarray(values, float)), np.bincount(member)
    picks = rng.integers(len(sums), size=(draws, len(sums)))
    means = sums[picks].sum(1) / sizes[picks].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(np.mean(values)), float(low), float(high), len(sums)


def at_least(
    name: str,
    values: Sequence[float],
    groups: Sequence[str],
    threshold: float,
    rng: np.random.Generator,
    *,
    min_n: int,
    veto: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Measured:
    """Passes where the interval's lower end reaches the threshold; fails where it does not."""
    if len(values) < min_n:
        return unmeasured(name, f"n {len(values)} is below {min_n}", veto, len(values))
    mean, low, high, count = interval(values, groups, rng)
    outcome = Outcome.PASS if low >= threshold else Outcome.FAIL
    return Measured(name, outcome, mean, low, high, len(values), count, threshold, veto, facts=facts or {})


def at_most(
    name: str,
    values: Sequence[float],
    groups: Sequence[str],
    threshold: float,
    rng: np.random.Generator,
    *,
    min_n: int,
    veto: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Measured:
    """Passes where the interval's upper end stays within the threshold; fails where it does not."""
    if len(values) < min_n:
        return unmeasured(name, f"n {len(values)} is below {min_n}", veto, len(values))
    mean, low, high, count = interval(values, groups, rng)
    outcome = Outcome.PASS if high <= threshold else Outcome.FAIL
    return Measured(name, outcome, mean, low, high, len(values), count, threshold, veto, facts=facts or {})


def verdict(measures: Sequence[Measured]) -> tuple[bool, tuple[str, ...]]:
    """Whether the gate opens, and why not: no measure failed, every veto was measured and passed."""
    reasons = [f"{m.name}:{m.outcome.value}" for m in measures if m.outcome is Outcome.FAIL]
    reasons += [f"{m.name}:unmeasured" for m in measures if m.veto and m.outcome is Outcome.UNMEASURED]
    return not reasons, tuple(reasons)
