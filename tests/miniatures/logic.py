"""Row 54, the logic of preference losses (arXiv 2412.17696): relations computed from formulas against random numbers.

No policy learns here. A seed draws probabilities; every claimed order of two losses must hold on all of them, and every
denied one must be seen both ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from rejoinder.evaluate.preference_logic import CORES, Structure, relate, structure, weighed

from tests.miniatures.paired import Claim, Floats, Found, exceeds

DRAWS = 10_000

#: The control looks at the core formula and forgets constraint and additive formula.
FORGETFUL: Mapping[str, Structure] = {
    "sft": CORES["sft"],
    "unlikelihood": CORES["unlikelihood"],
    "orpo": CORES["implication"],
    "cpo": CORES["implication"],
    "dpo": structure(lambda w, l, rw, rl: w and rl),
    "implication": CORES["implication"],
}


def losses(seed: int) -> dict[str, Floats]:
    """(DRAWS,) of every core at random probabilities."""
    p = np.random.default_rng([54, seed]).uniform(0.001, 0.999, size=(4, DRAWS))
    return {name: np.log1p(weighed(core.bottom, p) / weighed(core.top, p)) for name, core in CORES.items()}


def kept(read: Mapping[str, Structure], found: Mapping[str, Floats]) -> tuple[float, float]:
    """Share of claimed orders without an exception, and of denied ones with a witness either way."""
    claimed, denied = [], []
    for first, second in permutations(CORES, 2):
        gap = found[first] - found[second]
        relation = relate(read[first], read[second])
        if relation in ("entails", "equivalent"):
            claimed.append(bool((gap >= -1e-9).all()))
        if relation == "incomparable":
            denied.append(bool((gap > 0).any() and (gap < 0).any()))
    return float(np.mean(claimed)), float(np.mean(denied))


def claims(shares: Floats) -> list[Claim]:
    """shares (S, 2)."""
    return [
        exceeds("share of claimed orders of two losses without exception", shares[:, 0], 0.9999),
        exceeds("share of denied orders with a witness either way", shares[:, 1], 0.9999),
    ]


def measure(seeds: Sequence[int]) -> Found:
    drawn = [losses(seed) for seed in seeds]
    ours, forgetful = (np.array([kept(read, found) for found in drawn]) for read in (CORES, FORGETFUL))
    return Found(claims(ours), claims(forgetful))
