"""Rank statistics in plain numpy."""

from __future__ import annotations

import numpy as np


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def auc(p: np.ndarray, y: np.ndarray) -> float:
    """P(a positive scores above a negative), ties half. y: 0 or 1."""
    good = int(y.sum())
    bad = len(y) - good
    if not good or not bad:
        return float("nan")
    return float((ranks(p)[y == 1].sum() - good * (good + 1) / 2) / (good * bad))
