"""Kendall's tau-b of a difference between two answers with which of them was preferred, and its resampling.

Every pair counts in both orders, as (d, p) and as (-d, -p): which answer stands first is of no account, and a file in
which the preferred one always does has a tau. A choice is one bit and d is many-valued, so that tau-b of a choice that
d alone decides is about 0.71, not 1 (its ties are the choice's own).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Figures of one block of draws: what is resampled is worked on in blocks of 32 MiB.
_BLOCK = 4_000_000


def tau_b(differences: Floats, choices: Floats, weights: Floats | None = None) -> Floats:
    """(B,) tau-b of differences (N,) with the signs of choices (N,), each pair in both orders; NaN where no difference
    or no choice varies. weights (B, N): how often each draw holds each pair; once and one draw by default."""
    weights = np.ones((1, len(differences))) if weights is None else weights
    rows = max(1, _BLOCK // max(1, 2 * len(differences)))
    blocks = [weights[i : i + rows] for i in range(0, len(weights), rows)]
    return np.concatenate([_block(differences, np.sign(choices), block) for block in blocks])


def _block(differences: Floats, choices: Floats, weights: Floats) -> Floats:
    """Concordant less discordant, counted level by level of the difference from below: O(B·N)."""
    if not len(differences):
        return np.full(len(weights), np.nan)
    # Sums of floats that should be equal are: a difference below 1e-9 is none.
    values = np.round(np.concatenate([differences, -differences]), 9)
    chosen = np.concatenate([choices, -choices])
    order = np.lexsort((chosen, values))
    values, chosen = values[order], chosen[order]
    level = np.cumsum(np.r_[0, np.diff(values) != 0])
    starts = np.flatnonzero(np.r_[True, np.diff(3 * level + chosen) != 0])
    # Draws along the second axis: whole rows are taken and summed.
    held = np.add.reduceat(weights.T[order % len(differences)], starts, axis=0)
    mass = {}
    for c in np.unique(chosen).astype(int):
        of = chosen[starts] == c
        mass[c] = np.zeros((level[-1] + 1, len(weights)))
        mass[c][level[starts][of]] = held[of]
    below = {c: np.cumsum(m, axis=0) - m for c, m in mass.items()}
    surplus = np.zeros(len(weights))
    for c, at in mass.items():
        for other, under in below.items():
            if c != other:
                surplus += np.sign(c - other) * np.einsum("lb,lb->b", at, under)
    total = held.sum(0) ** 2
    untied = total - (np.sum(list(mass.values()), axis=0) ** 2).sum(0)
    decided = total - sum(m.sum(0) ** 2 for m in mass.values())
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = 2 * surplus / np.sqrt(untied * decided)
    return found


def influence(differences: Floats, choices: Floats) -> Floats:
    """(N,) by how much tau-b grows with the weight of each pair, at weight 1 of all: they sum to 0, and the sum of
    their squares is its variance (infinitesimal jackknife). O(N log N); NaN where tau-b is."""
    count = len(differences)
    chosen = np.sign(np.concatenate([choices, -choices]))
    _, level, tied = np.unique(
        np.round(np.concatenate([differences, -differences]), 9), return_inverse=True, return_counts=True
    )
    ahead = np.zeros(2 * count)
    of_choice = np.zeros(2 * count)
    for c in np.unique(chosen):
        at = np.bincount(level[chosen == c], minlength=len(tied))
        under = np.cumsum(at) - at
        # Below less above, among those who chose c.
        ahead += np.sign(chosen - c) * (2 * under + at - at.sum())[level]
        of_choice[chosen == c] = at.sum()
    total = 2.0 * count
    untied, decided = total**2 - (tied.astype(float) ** 2).sum(), total**2 - of_choice.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        tau = ahead.sum() / np.sqrt(untied * decided)
        less = tau * ((total - tied[level]) / untied + (total - of_choice) / decided)
        found: Floats = 4 * ahead / np.sqrt(untied * decided) - 2 * less
    return found[:count]


def rank_agreement(first: Floats, second: Floats) -> Floats:
    """(B,) tau-b of the rows of two (B, K); for few K, O(K²). NaN where a row does not vary."""
    one, two = (np.sign(np.round(x[:, :, None] - x[:, None, :], 12)) for x in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        agreed = (one * two).sum((1, 2)) / np.sqrt((one**2).sum((1, 2)) * (two**2).sum((1, 2)))
    return np.asarray(agreed, np.float64)


def resampled(groups: Sequence[str], draws: int, rng: np.random.Generator) -> Floats:
    """(draws, N) how often each pair is in a draw of as many groups as there are, with all their pairs."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    count = int(member.max()) + 1
    picks = rng.integers(count, size=(draws, count))
    held = np.bincount((picks + count * np.arange(draws)[:, None]).ravel(), minlength=draws * count)
    return held.reshape(draws, count)[:, member].astype(np.float64)
