"""How well an extractor reads labelled follow-ups: agreement, ranking and calibration, in plain numpy.

What is scored: accuracy and macro-F1 over the labels that are present; Spearman of the expected level with the level
given; AUC and calibration of SAT against DSAT, on turns labelled either, by p = P(SAT) / (P(SAT) + P(DSAT)). A file
without SAT is scored on none against DSAT instead. A turn without label or level is not scored there.
Calibration: `ece` in 15 bins of equal mass, every set weighing the same; `ece_null_95`, what a perfectly calibrated
reader of the same probabilities stays under in 95 of 100 such files; `ece_debiased`, the root of the squared error
less what sampling alone adds to it (Kumar and others, 1909.10155, 4.2); `slope` of the logistic regression of the
label on logit p; `brier`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.clock import Clock
from rejoinder.signals.extractors.evidence import TextModel
from rejoinder.signals.extractors.minilm import UNREAD, logits_of, probabilities
from rejoinder.signals.ranking import auc, spearman

BINS = 15
CLASSES = ("DSAT", "none", "SAT")


@dataclass(frozen=True)
class Reading:
    """What an extractor says of one turn: probabilities of DSAT, none, SAT, and the expected level."""

    polarity: tuple[float, float, float]
    level: float


#: Of a turn in a language that the encoder does not know.
UNKNOWN = Reading(UNREAD, 3.0)


def macro_f1(given: Sequence[str], said: Sequence[str]) -> float:
    """Mean F1 over the labels present in `given`."""
    scores = []
    for label in sorted(set(given)):
        both = sum(g == s == label for g, s in zip(given, said, strict=True))
        total = sum(g == label for g in given) + sum(s == label for s in said)
        scores.append(2 * both / total if total else 0.0)
    return float(np.mean(scores)) if scores else float("nan")


def _bins(p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(bins, n) share of each turn in each bin of equal weight, along p; a turn may straddle two bins."""
    order = np.argsort(p, kind="stable")
    end = np.cumsum(w[order]) / w.sum() * BINS
    start = np.concatenate([[0.0], end[:-1]])
    edges = np.arange(BINS)[:, None]
    out = np.zeros((BINS, len(p)))
    out[:, order] = np.clip(np.minimum(end, edges + 1) - np.maximum(start, edges), 0.0, None)
    return out / np.maximum(out.sum(1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Calibrated:
    ece: float
    ece_null_95: float
    ece_debiased: float
    slope: float
    brier: float
    brier_base: float


def slope_of(p: np.ndarray, y: np.ndarray, rounds: int = 50) -> float:
    """Slope of logistic regression of y on logit p, with intercept (Newton); 1 is right, below 1 overconfident."""
    q = np.clip(p, 1e-6, 1 - 1e-6)
    x = np.stack([np.ones_like(q), np.log(q / (1 - q))], 1)
    beta = np.array([0.0, 1.0])

    def loss(b: np.ndarray) -> float:
        z = x @ b
        return float(np.logaddexp(0.0, z).sum() - y @ z)

    for _ in range(rounds):
        mu = 1 / (1 + np.exp(-np.clip(x @ beta, -30, 30)))
        hessian = (x * (mu * (1 - mu))[:, None]).T @ x + 1e-9 * np.eye(2)
        change = np.linalg.solve(hessian, x.T @ (y - mu))
        # A full Newton step can overshoot from a far start; halving it until the loss falls cannot.
        while loss(beta + change) > loss(beta) and np.abs(change).max() > 1e-12:
            change = change / 2
        beta = beta + change
        if np.abs(change).max() < 1e-9:
            break
    return float(beta[1])


def gaps(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """ECE and debiased ECE of the probability p of y = 1."""
    bins = _bins(p, weights)
    gap = bins @ (y - p)
    rate, mass = bins @ y, (bins**2).sum(1)
    noise = rate * (1 - rate) * mass / np.maximum(1 - mass, 1e-12)
    return float(np.abs(gap).mean()), float(np.sqrt(max(0.0, (gap**2 - noise).mean())))


def calibration(
    p: np.ndarray, y: np.ndarray, weights: np.ndarray, rng: np.random.Generator, draws: int = 1000
) -> Calibrated:
    """p: probability of y = 1; weights: of the turns (equal for one set)."""
    if not len(p) or y.min() == y.max():
        return Calibrated(*([float("nan")] * 6))
    bins = _bins(p, weights)
    null = np.abs((rng.random((draws, len(p))) < p) @ bins.T - bins @ p).mean(1)
    share = weights / weights.sum()
    ece, debiased = gaps(p, y, weights)
    base = float(share @ y)
    return Calibrated(
        ece,
        float(np.quantile(null, 0.95)),
        debiased,
        slope_of(p, y),
        float(share @ (p - y) ** 2),
        base * (1 - base),
    )


def score(records: Sequence[Mapping], readings: Sequence[Reading], seed: int = 0) -> dict[str, float | int]:
    """Everything but the speed. records: the evaluation format, `set` optional; readings: one each, in order."""
    labelled = [(r, s) for r, s in zip(records, readings, strict=True) if r.get("label")]
    levelled = [(r["level"], s.level) for r, s in zip(records, readings, strict=True) if r.get("level") is not None]
    given = [r["label"] for r, _ in labelled]
    said = [CLASSES[int(np.argmax(s.polarity))] for _, s in labelled]
    best = "SAT" if "SAT" in given else "none"
    poled = [(r, s) for r, s in labelled if r["label"] in (best, "DSAT")]
    good = np.array([s.polarity[CLASSES.index(best)] for _, s in poled])
    p = good / np.maximum(good + np.array([s.polarity[0] for _, s in poled]), 1e-12)
    y = np.array([r["label"] == best for r, _ in poled], dtype=float)
    names = [str(r.get("set", "")) for r, _ in poled]
    sizes = Counter(names)
    weights = np.array([1.0 / sizes[n] for n in names])
    measured = calibration(p, y, weights, np.random.default_rng(seed))
    level = np.array(levelled, dtype=float).reshape(-1, 2)
    return {
        "n": len(records),
        "accuracy": float(np.mean([g == s for g, s in zip(given, said, strict=True)])) if given else float("nan"),
        "macro_f1": macro_f1(given, said),
        "auc": auc(p, y),
        "spearman": spearman(level[:, 0], level[:, 1]),
        "ece": measured.ece,
        "ece_null_95": measured.ece_null_95,
        "ece_debiased": measured.ece_debiased,
        "slope": measured.slope,
        "brier": measured.brier,
        "brier_base": measured.brier_base,
    }


def read(turns: Sequence[tuple[str, str]], text: TextModel) -> list[Reading]:
    """Reads (answer, follow-up) pairs as `minilm` does, without looking for reasons."""
    out = []
    for found in logits_of(turns, text):
        if found is None:
            out.append(UNKNOWN)
            continue
        p, level = probabilities(found[0], text)
        out.append(Reading((float(p[0]), float(p[1]), float(p[2])), level))
    return out


def evaluate(records: Sequence[Mapping], text: TextModel, clock: Clock) -> dict[str, float | int]:
    """score() of what an exported encoder reads in the records; `unknown_language`, turns that it could not read; and
    `turns_per_s`, tokenising included."""
    turns = [(record["messages"][-1]["text"], record["followup"]) for record in records]
    started = clock.monotonic()
    readings = read(turns, text)
    seconds = clock.monotonic() - started
    unknown = sum(reading is UNKNOWN for reading in readings)
    speed = len(turns) / seconds if seconds > 0 else float("nan")
    return {**score(records, readings), "unknown_language": unknown, "turns_per_s": speed}
