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
    parts = min(MOST, max(1, len(p) // LEAST))
    edges = np.unique(np.searchsorted(p[order], [p[part[0]] for part in np.array_split(order, parts)]))
    found = []
    for part in np.split(order, edges[1:]):
        mass = w[part] / w[part].sum()
        share, worth = float(mass @ y[part]), 1.0 / float((mass**2).sum())
        interval = wilson(share * worth, worth)
        found.append(Bin(float(mass @ p[part]), share, interval["low"], interval["high"], len(part)))
    return found
