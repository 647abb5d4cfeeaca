"""Figures of the whole traffic from labels of a stratified sample.

N_h turns were predicted as stratum h, n_h of them labelled, k_hc of those as class c; W_h = N_h / N. The share of turns
that are predicted h and are c is P_hc = W_h k_hc / n_h (Cochran, Sampling Techniques, 1977, 5.3; Olofsson and others,
Remote Sensing of Environment 148, 2014, eq. 4, for tables of errors), and with said(h) the class that h says:

    precision_c = sum of P_hc over h that say c / sum of W_h over these
    recall_c    = sum of P_hc over h that say c / sum of P_hc over all h
    kappa       = (A - E) / (1 - E),  A = sum of P_h,said(h),  E = sum over c of share said c * share that is c

Intervals: 95 % of draws of every row of the table from its posterior, Dirichlet(k_h + 1/3) (Perks' prior; Goutte and
Gaussier 2005 do so for precision and recall), so that a class nobody found in a stratum is not certain to be absent.
Calibration is of the confidence that the signal has, against whether it is right, a turn weighing N_h / n_h; intervals
of it resample n_h - 1 of the n_h turns of each stratum (Rao and Wu 1988). Blank labels are taken to be missing by
chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.signals.audit.sample import STRATA
from rejoinder.signals.calibration import CLASSES
from rejoinder.signals.evaluation import calibration, gaps

DRAWS = 4000
PRIOR = 1 / 3
RESAMPLES = 400


@dataclass(frozen=True)
class Labelled:
    """One turn a person labelled. p: shipped probabilities of DSAT, none, SAT. confidence: of what was said."""

    id: str
    stratum: str
    label: str
    p: tuple[float, float, float]
    confidence: float

    @property
    def right(self) -> bool:
        return STRATA[self.stratum] == self.label


@dataclass(frozen=True)
class Figure:
    """value with its 95 % interval; NaN where nothing can be said."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """strata: that have labels. share (H,): W_h among these. counts (H, 3): k_hc. says (H,): class each says."""

    strata: tuple[str, ...]
    share: np.ndarray
    counts: np.ndarray
    says: np.ndarray


def table_of(population: Mapping[str, int], labelled: Sequence[Labelled]) -> Table:
    counts = {name: [0, 0, 0] for name in STRATA}
    for turn in labelled:
        counts[turn.stratum][CLASSES.index(turn.label)] += 1
    strata = tuple(name for name in STRATA if sum(counts[name]))
    size = np.array([population[name] for name in strata], dtype=float)
    says = np.array([CLASSES.index(STRATA[name]) for name in strata], dtype=int)
    return Table(strata, size / size.sum(), np.array([counts[name] for name in strata], dtype=float), says)


def weights(population: Mapping[str, int], labelled: Sequence[Labelled]) -> np.ndarray:
    """(n,) how many turns of the traffic each labelled one stands for: N_h / n_h."""
    found = {name: sum(turn.stratum == name for turn in labelled) for name in STRATA}
    return np.array([population[turn.stratum] / found[turn.stratum] for turn in labelled])


def agreement(table: Table, rates: np.ndarray) -> dict[str, np.ndarray]:
    """rates (..., H, 3) of the classes in each stratum → accuracy, kappa, precision and recall by class, (...) each."""
    joint = table.share[:, None] * rates
    said = np.stack([joint[..., table.says == c, :].sum(-2) for c in range(3)], -2)
    hit, of_said, of_class = said[..., range(3), range(3)], said.sum(-1), joint.sum(-2)
    agreed, chance = hit.sum(-1), (of_said * of_class).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = {"accuracy": agreed, "kappa": (agreed - chance) / (1 - chance)}
        for c, name in enumerate(CLASSES):
            out[f"precision_{name}"] = hit[..., c] / of_said[..., c]
            out[f"recall_{name}"] = hit[..., c] / of_class[..., c]
    return out


def agreements(table: Table, rng: np.random.Generator, draws: int = DRAWS) -> dict[str, Figure]:
    """Each figure of `agreement` with its interval."""
    at = agreement(table, table.counts / table.counts.sum(1, keepdims=True))
    gamma = rng.standard_gamma(table.counts + PRIOR, size=(draws, *table.counts.shape))
    spread = agreement(table, gamma / gamma.sum(-1, keepdims=True))
    nothing = np.array([])
    return {
        name: Figure(float(value), *_middle(spread[name] if np.isfinite(value) else nothing))
        for name, value in at.items()
    }


def calibrations(
    labelled: Sequence[Labelled], weight: np.ndarray, rng: np.random.Generator, times: int = RESAMPLES
) -> tuple[Figure, Figure, float]:
    """ECE and debiased ECE of the confidence with intervals, and what a calibrated one stays under in 95 of 100."""
    p = np.array([turn.confidence for turn in labelled])
    y = np.array([turn.right for turn in labelled], dtype=float)
    at = calibration(p, y, weight, rng)
    drawn = np.array([gaps(p[i], y[i], w) for i, w in resamples(labelled, weight, rng, times)])
    ece, debiased = (Figure(v, *_middle(drawn[:, k])) for k, v in enumerate((at.ece, at.ece_debiased)))
    return ece, debiased, at.ece_null_95


def resamples(
    labelled: Sequence[Labelled], weight: np.ndarray, rng: np.random.Generator, times: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(places, weights) of Rao and Wu's bootstrap; a stratum of one turn is kept as it is."""
    where = [np.flatnonzero([turn.stratum == name for turn in labelled]) for name in STRATA]
    out = []
    for _ in range(times):
        parts = [at if len(at) < 2 else rng.choice(at, len(at) - 1) for at in where]
        scale = [np.full(len(part), len(at) / len(part)) for part, at in zip(parts, where, strict=True) if len(at)]
        places = np.concatenate(parts)
        out.append((places, weight[places] * np.concatenate(scale)))
    return out


def weighted_mean(values: np.ndarray, weight: np.ndarray) -> float:
    return float(values @ weight / weight.sum())


def _middle(draws: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 % points of those that are numbers."""
    kept = draws[np.isfinite(draws)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, (0.025, 0.975))
    return float(low), float(high)
