"""Does the share of canary units match the share that was drawn? An E-process per hop, so the lossy hop is named.

`prod q_t(A_t)/w_t(A_t)` with `q_t = (n_canary + 200 w)/(n + 200)`. For one weight that product is a Polya urn's: it
depends on the counts alone, so a counter's increments of any size are added in O(1). Counts are kept by weight: over a
ramp the pooled n_canary/n is no estimate of anything, and the test would sleep for the rest of the rollout.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rejoinder.core.errors import InvalidArgument

PRIOR = 200.0
#: The verdict is suspended when the E-value has ever reached this (a false alarm in 1 of 1,000 rollouts per hop).
LOG_SUSPEND = math.log(1000.0)


class SampleRatio:
    """owns: units and canary units by weight, and the greatest log E so far."""

    def __init__(self) -> None:
        self.counts: dict[float, tuple[int, int]] = {}
        self.peak = 0.0

    def add(self, weight: float, units: int, canary: int) -> None:
        """`units` more assignments at `weight`, `canary` of them to the canary; weights 0 and 1 are refused."""
        if not 0.0 < weight < 1.0 or not 0 <= canary <= units:
            raise InvalidArgument("a sample ratio needs a weight in (0, 1) and 0 <= canary <= units")
        n, c = self.counts.get(weight, (0, 0))
        self.counts[weight] = (n + units, c + canary)
        self.peak = max(self.peak, self.log_e)

    @property
    def log_e(self) -> float:
        return sum(_log_urn(weight, n, c) for weight, (n, c) in self.counts.items())

    @property
    def suspends(self) -> bool:
        return self.peak >= LOG_SUSPEND

    def as_dict(self) -> dict[str, Any]:
        return {"counts": [[weight, n, c] for weight, (n, c) in self.counts.items()], "peak": self.peak}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SampleRatio:
        ratio = cls()
        ratio.counts = {weight: (n, c) for weight, n, c in value["counts"]}
        ratio.peak = value["peak"]
        return ratio


def _log_urn(weight: float, n: int, canary: int) -> float:
    """Log ratio of the urn's probability of these counts (any one order) to the coin's."""
    a, b = PRIOR * weight, PRIOR * (1 - weight)
    urn = math.lgamma(a + canary) + math.lgamma(b + n - canary) - math.lgamma(PRIOR + n)
    urn += math.lgamma(PRIOR) - math.lgamma(a) - math.lgamma(b)
    return urn - canary * math.log(weight) - (n - canary) * math.log(1 - weight)
