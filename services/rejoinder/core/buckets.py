"""Token buckets by name: how much each may take, in a bounded memory."""

from __future__ import annotations

from collections import OrderedDict

#: What rounding may leave of a token after exactly the delay that was told.
_NOTHING = 1e-6


class Buckets:
    """Buckets of one rate by name, the longest unused forgotten first: who comes back then begins with a full one.

    owns: the levels. A thing is taken where one token is there, however much it costs: the debt is waited for after it,
    so that no request is too large to be taken at all and the rate still holds.
    per_s: tokens a second. burst_s: seconds' worth that a full bucket holds, at least one token. most: names.
    """

    def __init__(self, per_s: float, burst_s: float, most: int) -> None:
        self._per_s = per_s
        self._full = max(1.0, per_s * burst_s)
        self._most = most
        #: Tokens now, below zero where the last one taken was larger than what was left; and when it was so.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_s(self, name: str, now: float, begun: float = 0.0) -> float:
        """0 where something may be taken, else the seconds until then. begun: tokens that are about to be taken."""
        missing = 1.0 - self._level(name, now) + begun
        return missing / self._per_s if missing > _NOTHING else 0.0

    def take(self, name: str, tokens: float, now: float) -> None:
        """tokens: below zero they are given back."""
        self._buckets[name] = (min(self._full, self._level(name, now) - tokens), now)
        self._buckets.move_to_end(name)
        while len(self._buckets) > self._most:
            self._buckets.popitem(last=False)

    def _level(self, name: str, now: float) -> float:
        known = self._buckets.get(name)
        return self._full if known is None else min(self._full, known[0] + (now - known[1]) * self._per_s)
