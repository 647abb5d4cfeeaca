"""Does the share of canary units match the share that was drawn? An E-process per hop, so the lossy hop is named.

`prod q_t(A_t)/w_t(A_t)` with `q_t = (n_canary + 200 w)/(n + 200)`. For one weight that product is a Polya urn's: it
depends on the counts alone, so a counter's increments of any size are added in O(1). Counts are kept by weight: over a
ramp the pooled n_canary/n is no estimate of anything, and the test would sleep for the rest of the rollout.

`SampleRatio` tests matured units. Assignments are counted by each process for itself, and one user is drawn by many of
them: `CountedRatio` tests every process alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.counter import Drawn

PRIOR = 200.0
#: The verdict is suspended when the E-value has ever reached this (a false alarm in 1 of 1,000 rollouts per hop).
LOG_SUSPEND = math.log(1000.0)
#: Processes remembered; one that was forgotten and speaks again is a new one.
MOST_PROCESSES = 64


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


class CountedRatio:
    """owns: a sample ratio for each process that has counted, how many there were, the greatest discounted log E.

    The k-th process to appear has the part 1/(k(k+1)) of the error. The parts sum to one, so the false alarms stay at
    1 in 1,000 rollouts for any number of replicas and restarts, and whatever part of their users they share. A restart
    is a new process: its counts begin at nothing, and those that it had are kept here as they were last read.
    """

    def __init__(self) -> None:
        self._processes: dict[str, tuple[int, SampleRatio]] = {}
        self._seen = 0
        self.peak = 0.0

    def take(self, drawn: Drawn) -> bool:
        """A process's totals as they are now; whether they say anything new. No total is ever taken back."""
        if not drawn.counts:
            return False
        if drawn.epoch not in self._processes:
            self._seen += 1
            self._processes[drawn.epoch] = (self._seen, SampleRatio())
        # The last to speak stand last: what is forgotten are processes that are gone.
        place, ratio = self._processes[drawn.epoch] = self._processes.pop(drawn.epoch)
        before = dict(ratio.counts)
        for weight, units, canary in drawn.counts:
            n, c = ratio.counts.get(weight, (0, 0))
            if 0.0 < weight < 1.0 and units > n and 0 <= canary - c <= units - n:
                ratio.add(weight, units - n, canary - c)
        self.peak = max(self.peak, ratio.log_e - discount(place))
        while len(self._processes) > MOST_PROCESSES:
            del self._processes[next(iter(self._processes))]
        return ratio.counts != before

    @property
    def counts(self) -> dict[float, tuple[int, int]]:
        """Units and canary units by weight, summed for people: a user whom two processes drew is in it twice."""
        total: dict[float, tuple[int, int]] = {}
        for _, ratio in self._processes.values():
            for weight, (n, c) in ratio.counts.items():
                units, canary = total.get(weight, (0, 0))
                total[weight] = (units + n, canary + c)
        return total

    @property
    def log_e(self) -> float:
        """Of the process that speaks loudest now, discounted; 0 before any."""
        return max((ratio.log_e - discount(place) for place, ratio in self._processes.values()), default=0.0)

    @property
    def suspends(self) -> bool:
        return self.peak >= LOG_SUSPEND

    def as_dict(self) -> dict[str, Any]:
        processes = [[epoch, place, ratio.as_dict()] for epoch, (place, ratio) in self._processes.items()]
        return {"processes": processes, "seen": self._seen, "peak": self.peak}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> CountedRatio:
        ratio = cls()
        ratio._processes = {e: (place, SampleRatio.from_dict(state)) for e, place, state in value["processes"]}
        ratio._seen, ratio.peak = value["seen"], value["peak"]
        return ratio


def discount(place: int) -> float:
    """Log of the inverse of the place-th process's part of the error."""
    return math.log(place * (place + 1))


def _log_urn(weight: float, n: int, canary: int) -> float:
    """Log ratio of the urn's probability of these counts (any one order) to the coin's."""
    a, b = PRIOR * weight, PRIOR * (1 - weight)
    urn = math.lgamma(a + canary) + math.lgamma(b + n - canary) - math.lgamma(PRIOR + n)
    urn += math.lgamma(PRIOR) - math.lgamma(a) - math.lgamma(b)
    return urn - canary * math.log(weight) - (n - canary) * math.log(1 - weight)
