"""The recalibration that an operator's labels ask for, and whether it helps on labels it was not fitted to.

Temperature and shifts have the least weighted log loss of the labels plus a penalty that is worth one turn, so that few
labels change little. Each pole's least probability is the lowest from which, of the labelled turns said with that pole
or surer, the wanted share is right. Held-out figures are of five folds by hash of the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rejoinder.core.ids import digest_of_text
from rejoinder.signals.audit.estimates import Labelled, weighted_mean
from rejoinder.signals.calibration import CLASSES, minimise
from rejoinder.signals.evaluation import gaps
from rejoinder.signals.recalibration import Recalibration

FOLDS = 5
#: Labels that a threshold must rest on.
LEAST = 10
#: Labels without which nothing is said to help, and standard errors by which it must: of six labels of a reader that
#: needed no mending, every second sample lowers the loss of those held out.
FEWEST, SURE = 20, 2.0


@dataclass(frozen=True)
class Refit:
    """found: fitted on all labels. loss, ece_debiased: (as shipped, refitted), on labels held out. loss_error: standard
    error of what the loss falls by. unreached: poles whose wanted precision no threshold reaches; they are left as they
    were."""

    found: Recalibration
    loss: tuple[float, float]
    loss_error: float
    ece_debiased: tuple[float, float]
    unreached: tuple[str, ...]

    @property
    def helps(self) -> bool:
        return self.found.labelled >= FEWEST and self.loss[0] - self.loss[1] > SURE * self.loss_error


def scaled(labelled: Sequence[Labelled], weight: np.ndarray) -> Recalibration:
    """Temperature and shifts alone."""
    p = np.array([turn.p for turn in labelled])
    label = np.array([CLASSES.index(turn.label) for turn in labelled])
    # Turns that stand for many others are fewer than they are counted: what the weights leave of the sample's size.
    size = weight.sum() ** 2 / (weight**2).sum()

    def trial(x: np.ndarray) -> Recalibration:
        return Recalibration(temperature=float(np.exp(x[0])), shift=(float(x[1]), 0.0, float(x[2])))

    def loss(x: np.ndarray) -> float:
        return weighted_mean(log_loss(trial(x).apply(p), label), weight) + float(x @ x) / (2 * size)

    return trial(minimise(loss, (0.0, 0.0, 0.0)))


def log_loss(p: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n, 3), (n,) → (n,) nats."""
    return -np.log(np.maximum(p[np.arange(len(label)), label], 1e-12))


def least_for(p: np.ndarray, right: np.ndarray, weight: np.ndarray, wanted: float) -> float | None:
    """The lowest probability from which so great a share is right; None where there is none.

    p, right, weight (n,): of the turns said with one pole, before a threshold.
    """
    order = np.argsort(-p, kind="stable")
    share = np.cumsum((right * weight)[order]) / np.cumsum(weight[order])
    # A threshold takes all turns of one probability or none of them.
    ends = np.flatnonzero(np.append(p[order][1:] < p[order][:-1], True)) if len(p) else np.array([], dtype=int)
    good = [end for end in ends if end + 1 >= LEAST and share[end] >= wanted]
    if not good:
        return None
    return 0.0 if good[-1] == len(p) - 1 else float(p[order][good[-1]])


def refit(labelled: Sequence[Labelled], weight: np.ndarray, wanted: float, model: str, population: int) -> Refit:
    """weight (n,): turns of the traffic that each stands for. wanted: precision of DSAT and SAT, 0 to 1. Without
    a label nothing is changed."""
    if not labelled:
        nothing = (float("nan"), float("nan"))
        return Refit(Recalibration(model=model, population=population), nothing, nothing[0], nothing, ("DSAT", "SAT"))
    p = np.array([turn.p for turn in labelled])
    label = np.array([CLASSES.index(turn.label) for turn in labelled])
    fold = np.array([int(digest_of_text(turn.id)[:8], 16) % FOLDS for turn in labelled])
    out = p.copy()
    for k in range(FOLDS):
        rest = fold != k
        if rest.any() and not rest.all():
            out[~rest] = scaled([t for t, r in zip(labelled, rest, strict=True) if r], weight[rest]).apply(p[~rest])
    found = scaled(labelled, weight)
    after, least, unreached = found.apply(p), {}, []
    for place, name in ((0, "DSAT"), (2, "SAT")):
        mine = after.argmax(1) == place
        at = least_for(after[mine, place], (label == place)[mine].astype(float), weight[mine], wanted)
        least[name] = at or 0.0
        if at is None:
            unreached.append(name)
    made = replace(
        found,
        least_dsat=least["DSAT"],
        least_sat=least["SAT"],
        model=model,
        labelled=len(labelled),
        population=population,
    )
    before, held = log_loss(p, label), log_loss(out, label)
    gain = before - held
    error = float(np.sqrt((weight**2) @ (gain - weighted_mean(gain, weight)) ** 2) / weight.sum())
    losses = (weighted_mean(before, weight), weighted_mean(held, weight))
    off = tuple(gaps(q.max(1), (q.argmax(1) == label).astype(float), weight)[1] for q in (p, out))
    return Refit(made, losses, error, (off[0], off[1]), tuple(unreached))
