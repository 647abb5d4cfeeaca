"""Likelihoods of continuations: what comes before them is read once, and each of them after it."""

from __future__ import annotations

import numpy as np

from rejoinder.runtime.backends.decoder import MOST_AT_ONCE, WORTH_KEEPING, Cache, Decoder, common, rounded
from rejoinder.runtime.backends.rows import Scoring
from rejoinder.runtime.backends.sampling import log_softmax

#: Positions whose log-probabilities are worked out at a time, in float64.
_ROWS = 32


class Scorer:
    """owns: the keys and values of one context, that of the scoring in progress or of the one before it."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cache: Cache | None = None
        #: What the cache holds, and the log-probabilities (V,) of what comes next once a context has been read.
        self._read: list[int] = []
        self._next: np.ndarray | None = None
        self._for: Scoring | None = None
        #: Of the continuation that is being read: how many of its tokens are, and log p of those after the first.
        self._at, self._sum = 0, 0.0

    def turn(self, asked: Scoring, tokens: int) -> int:
        """Goes on with it by about so many tokens; `asked.values` grows by what is done. The tokens that are left."""
        cache = self._begun(asked)
        context = list(asked.context)
        while tokens > 0 and len(asked.values) < len(asked.continuations):
            if self._next is None:
                end = min(len(context), len(self._read) + MOST_AT_ONCE)
                tokens -= end - len(self._read)
                logits = self._decoder.read(cache, 0, context[len(self._read) : end], len(self._read), asked.adapter)
                self._read = context[:end]
                if end == len(context):
                    self._next = log_softmax(logits[-1])
                continue
            wanted = asked.continuations[len(asked.values)]
            tokens -= 1 + self._read_on(cache, asked.adapter, wanted, max(1, tokens))
            if self._at == len(wanted) - 1:
                asked.values.append(float(self._next[wanted[0]]) + self._sum)
                self._at, self._sum = 0, 0.0
        return tokens

    def _begun(self, asked: Scoring) -> Cache:
        needed = len(asked.context) + max(map(len, asked.continuations))
        length = rounded(needed, self._decoder.shape.context)
        self._cache = self._cache.grown(1, length, [len(self._read)]) if self._cache else self._decoder.cache(1, length)
        if asked is not self._for:
            # The last token is read in any case: what comes after it is wanted.
            before = list(asked.context[:-1])
            alike = self._for is not None and self._for.adapter == asked.adapter
            same = common(before, self._read, WORTH_KEEPING - 1) if alike else 0
            self._read, self._next, self._for = before[:same], None, asked
            self._at, self._sum = 0, 0.0
        return self._cache

    def _read_on(self, cache: Cache, adapter: str, wanted: tuple[int, ...], most: int) -> int:
        """Goes on in a continuation by at most so many tokens; how many it took. Its last one is only asked for."""
        at = self._at
        end = min(len(wanted) - 1, at + min(most, MOST_AT_ONCE))
        if end > at:
            logits = self._decoder.read(cache, 0, wanted[at:end], len(self._read) + at, adapter)
            self._sum += _log_prob(logits, wanted[at + 1 : end + 1])
            self._at = end
        return end - at


def _log_prob(logits: np.ndarray, known: tuple[int, ...]) -> float:
    """Sum of log p, nats, of a token each under (T, V) logits; a few at a time, for a vocabulary can be wide."""
    total = 0.0
    for start in range(0, len(known), _ROWS):
        part = known[start : start + _ROWS]
        total += float(log_softmax(logits[start : start + _ROWS])[np.arange(len(part)), list(part)].sum())
    return total
