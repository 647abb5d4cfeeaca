"""How long batches take, learned from those that ran: seconds = a + b × padded tokens, recent batches counting most.

A queue that knows its pace can refuse at once what it would answer too late. Until batches of different sizes have run,
each is taken to last as long as those seen: too short for larger ones, so that a model just loaded refuses nobody. The
first batch of all counts for nothing, for it pays what no other does (memory, kernels, an engine that is built), and
one that took many times what was thought counts as a few times that: a machine that stood still for a minute is not a
slow model, and a model that has become slow is known after some dozens of batches.
"""

from __future__ import annotations

import math

#: Weight that a batch keeps with each one after it: some fifty count.
_KEEPS = 0.98
#: Least spread of the sizes, as a share of their mean, from which a slope is read.
_SPREAD = 0.1
#: A batch counts as at most so many times what was thought of it, once so many have been seen.
_TIMES, _KNOWN = 4.0, 8.0
#: Of no batch less than this is thought there: what takes no time would never be seen to take any.
_LEAST_S = 0.001


class Pace:
    """owns: weighted sums over the batches seen."""

    def __init__(self) -> None:
        self._begun = False
        self._n = self._x = self._y = self._xx = self._xy = self._tokens = 0.0

    def ran(self, tokens: int, padded_tokens: int, seconds: float) -> None:
        """A batch that ran. tokens: without padding."""
        if not self._begun:
            self._begun = True
            return
        if self._n >= _KNOWN:
            seconds = min(seconds, _TIMES * max(self.batch_s(padded_tokens), _LEAST_S))
        x, y = float(padded_tokens), seconds
        for name, value in (("_n", 1.0), ("_x", x), ("_y", y), ("_xx", x * x), ("_xy", x * y), ("_tokens", tokens)):
            setattr(self, name, getattr(self, name) * _KEEPS + value)

    def batch_s(self, padded_tokens: float) -> float:
        """Seconds of one batch; 0 before two have run."""
        fixed, each = self._line()
        return fixed + each * padded_tokens

    def queue_s(self, rows: float, tokens: float, max_rows: int, max_tokens: int) -> float:
        """Seconds of these rows in batches of at most so many rows and padded tokens, padded as of late."""
        if not self._n or not rows:
            return 0.0
        padded = tokens * self._x / self._tokens
        batches = math.ceil(max(padded / max_tokens, rows / max_rows))
        fixed, each = self._line()
        return batches * fixed + each * padded

    def _line(self) -> tuple[float, float]:
        """(a, b), neither below 0."""
        if not self._n:
            return 0.0, 0.0
        x, y = self._x / self._n, self._y / self._n
        variance = self._xx / self._n - x * x
        if variance <= (_SPREAD * x) ** 2:
            return y, 0.0
        slope = max(0.0, (self._xy / self._n - x * y) / variance)
        return (y - slope * x, slope) if slope * x < y else (0.0, y / x)
