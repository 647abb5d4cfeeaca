"""Whether what is said with confidence is right as often as that: the reliability diagram's bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.evaluate.shares import wilson

#: Labels of a bin, at least; and the most bins.
LEAST, MOST = 20, 10


@dataclass(frozen=True)
class Bin:
    """said: mean confidence. value, low, high: share that was right, with Wilson's 95 % interval of as many labels as
    the weights are worth. n: labels."""

    said: float
    value: float
    low: float
    high: float
    n: int


def reliability(said: Sequence[float], right: Sequence[bool], weights: Sequence[float]) -> list[Bin]:
    """Bins of about equally many labels, by rising confidence; labels of one confidence stay together. weights: how
    much of the traffic each label stands for. All of one length; no bin where there is no label."""
    p, y, w = (np.asarray(values, float) for values in (said, right, weights))
    if not len(p):
        return []
    order = np.argsort(p, kind="stable")
    least = len(p) / min(MOST, max(1, len(p) // LEAST))
    # Where another confidence begins.
    ends = [*(np.flatnonzero(np.diff(p[order])) + 1), len(p)]
    cuts, begun = [], 0
    for end in ends:
        if end - begun >= least:
            cuts.append(end)
            begun = end
    found = []
    for part in np.split(order, cuts):
        if not len(part):
            continue
        mass = w[part] / w[part].sum()
        share, worth = float(mass @ y[part]), 1.0 / float((mass**2).sum())
        interval = wilson(share * worth, worth)
        found.append(Bin(float(mass @ p[part]), share, interval["low"], interval["high"], len(part)))
    return found
