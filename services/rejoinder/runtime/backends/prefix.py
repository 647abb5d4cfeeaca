"""Values of texts that begin alike: what they have in common is read once, and each of them after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rejoinder.runtime.backends.decoder import MOST_AT_ONCE, WORTH_KEEPING, Cache, Decoder, common, rounded
from rejoinder.runtime.backends.rows import BASE


class PrefixReader:
    """owns: the keys and values of one context, the one that was read last. Of one thread."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cache: Cache | None = None
        self._read: list[int] = []

    def values(self, context: Sequence[int], answers: Sequence[Sequence[int]]) -> np.ndarray:
        """(N, V) outputs of the graph at the last token of each answer. context, answers: token ids, none empty."""
        cache = self._room(len(context) + max(map(len, answers)))
        self._begin(cache, list(context))
        return np.stack([self._last(cache, answer) for answer in answers])

    def _room(self, needed: int) -> Cache:
        length = rounded(needed, self._decoder.shape.context)
        self._cache = self._cache.grown(1, length, [len(self._read)]) if self._cache else self._decoder.cache(1, length)
        return self._cache

    def _begin(self, cache: Cache, context: list[int]) -> None:
        # Pieces of one request come one after another, and a conversation begins as it did a turn before.
        self._read = self._read[: common(context, self._read, WORTH_KEEPING - 1)]
        while len(self._read) < len(context):
            at = len(self._read)
            part = context[at : at + MOST_AT_ONCE]
            self._decoder.read(cache, 0, part, at, BASE)
            self._read += part

    def _last(self, cache: Cache, answer: Sequence[int]) -> np.ndarray:
        # Each answer is written over the one before it, behind the context.
        found = np.empty(0)
        for at in range(0, len(answer), MOST_AT_ONCE):
            part = answer[at : at + MOST_AT_ONCE]
            found = self._decoder.read(cache, 0, part, len(self._read) + at, BASE)[-1]
        return np.array(found)
