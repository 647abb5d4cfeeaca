"""How well a head's margins agree with pairs that people judged, in plain numpy.

A record: {id, group, messages, a, b, pref}; pref is the share of judges for a, 0.5 (a tie) is not scored. A margin is
score a − score b in logits, so p = sigmoid(margin) is the head's probability that people prefer a.
Length is in characters. `length_matched_accuracy` counts only pairs whose lengths are within 0.8 to 1.25 of each other,
where the longer one gives nothing away (F03); `length_correlation` is Spearman's, of margins with log length ratios;
`longer_wins` is what the rule "the longer one" would score.
Calibration: `ece` in 15 bins of equal mass; `ece_null_95`, what a perfectly calibrated head with the same p stays under
in 95 of 100 such files; `ece_debiased`, the root of the squared error less what sampling alone adds (1909.10155, 4.2);
`slope` of the logistic regression of the outcome on the margin, without intercept: 1 is right, below 1 overconfident;
`brier`, beside 0.25 for a head that knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BINS = 15
RATIO = (0.8, 1.25)


def evaluate(
    records: Sequence[Mapping[str, Any]], margins: np.ndarray, seed: int = 0, draws: int = 1000
) -> dict[str, float | int]:
    """Every figure of the module. margins: one per record; seed: of the bootstrap over groups and of the null."""
    judged = np.array([record["pref"] != 0.5 for record in records], dtype=bool)
    kept = [record for record, is_judged in zip(records, judged, strict=True) if is_judged]
    margin, rng = np.asarray(margins, dtype=float)[judged], np.random.default_rng(seed)
    y = np.array([record["pref"] > 0.5 for record in kept], dtype=float)
    ratio = np.array([np.log1p(len(record["a"])) - np.log1p(len(record["b"])) for record in kept])
    right = _right(margin, y)
    low, high = _interval(right, [str(record["group"]) for record in kept], rng, draws)
    matched = (ratio >= np.log(RATIO[0])) & (ratio <= np.log(RATIO[1]))
    return {
        "n": len(kept),
        "ties": int(len(records) - len(kept)),
        "accuracy": _mean(right),
        "accuracy_low": low,
        "accuracy_high": high,
        "auc": auc(margin, y),
        "length_matched_n": int(matched.sum()),
        "length_matched_accuracy": _mean(right[matched]),
        "length_correlation": _spearman(margin, ratio),
        "longer_wins": _mean(_right(ratio, y)),
        **calibration(margin, y, rng, draws),
    }


def auc(margin: np.ndarray, y: np.ndarray) -> float:
    """P(a pair whose a won has the greater margin than one whose b won), ties half. nan without both kinds."""
    won = int(y.sum())
    lost = len(y) - won
    if not won or not lost:
        return float("nan")
    return float((_ranks(margin)[y == 1].sum() - won * (won + 1) / 2) / (won * lost))


def calibration(margin: np.ndarray, y: np.ndarray, rng: np.random.Generator, draws: int) -> dict[str, float]:
    """See the module. nan with fewer pairs than bins."""
    names = ("ece", "ece_null_95", "ece_debiased", "slope", "brier")
    if len(y) < 2 * BINS:
        return dict.fromkeys(names, float("nan"))
    p = 1 / (1 + np.exp(-margin))
    bins = np.array_split(np.argsort(p, kind="stable"), BINS)
    size, said = np.array([len(b) for b in bins]), np.array([p[b].mean() for b in bins])
    rate = np.array([y[b].mean() for b in bins])
    fair = rng.random((draws, len(p))) < p
    null = np.mean([np.abs(fair[:, b].mean(1) - s) for b, s in zip(bins, said, strict=True)], axis=0)
    unbiased = (said - rate) ** 2 - rate * (1 - rate) / (size - 1)
    values = (
        np.abs(said - rate).mean(),
        np.quantile(null, 0.95),
        np.sqrt(max(0.0, unbiased.mean())),
        _slope(margin, y),
        ((p - y) ** 2).mean(),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _right(margin: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 where the sign of the margin is the judges', ½ where it has none."""
    return np.where(margin == 0, 0.5, (margin > 0) == (y == 1))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _interval(right: np.ndarray, groups: Sequence[str], rng: np.random.Generator, draws: int) -> tuple[float, float]:
    """95 % bootstrap interval of the mean, over groups."""
    if not len(right):
        return float("nan"), float("nan")
    _, member = np.unique(groups, return_inverse=True)
    total, count = np.bincount(member, right), np.bincount(member)
    chosen = rng.integers(0, len(count), (draws, len(count)))
    low, high = np.quantile(total[chosen].sum(1) / count[chosen].sum(1), [0.025, 0.975])
    return float(low), float(high)


def _slope(margin: np.ndarray, y: np.ndarray) -> float:
    """Newton's method for one weight: the loss is convex, steps are halved until it falls."""

    def loss(weight: float) -> float:
        return float(np.logaddexp(0.0, weight * margin).sum() - weight * (y @ margin))

    slope = 1.0
    for _ in range(50):
        mu = 1 / (1 + np.exp(-np.clip(slope * margin, -30, 30)))
        step = float(margin @ (y - mu)) / (float((margin**2 * mu * (1 - mu)).sum()) + 1e-12)
        while loss(slope + step) > loss(slope) and abs(step) > 1e-12:
            step /= 2
        slope += step
        if abs(step) < 1e-9:
            break
    return slope


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])
