"""Likelihoods of continuations: what comes before them is read once, and each of them after it."""

from __future__ import annotations

import numpy as np

from rejoinder.runtime.backends.decoder import MOST_AT_ONCE, WORTH_KEEPING, Cache, Decoder, common, rounded
from rejoinder.runtime.backends.rows import Scoring
from rejoinder.runtime.backends.sampling import log_softmax


class Scorer:
    """owns: the keys and values of one context, that of the scoring in progress or of the one before it."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._cache: Cache | None = None
        self._adapter = ""
        #: What the cache holds, and the log-probabilities (V,) of what comes next once a context has been read.
        self._read: list[int] = []
        self._next: np.ndarray | None = None
        self._for: Scoring | None = None

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
            tokens -= len(wanted)
            asked.values.append(float(self._next[wanted[0]]) + self._rest(cache, asked.adapter, wanted))
        return tokens

    def _begun(self, asked: Scoring) -> Cache:
        needed = len(asked.context) + max(map(len, asked.continuations))
        length = rounded(needed, self._decoder.shape.context)
        self._cache = self._cache.grown(1, length) if self._cache else self._decoder.cache(1, length)
        if asked is not self._for:
            # The last token is read in any case: what comes after it is wanted.
            before = list(asked.context[:-1])
            same = common(before, self._read, WORTH_KEEPING - 1) if asked.adapter == self._adapter else 0
            self._read, self._next = before[:same], None
            self._for, self._adapter = asked, asked.adapter
        return self._cache

    def _rest(self, cache: Cache, adapter: str, wanted: tuple[int, ...]) -> float:
        """log p of all but the first token of a continuation, the next one of the context's."""
        total, at = 0.0, 0
        while at < len(wanted) - 1:
            part = wanted[at : at + MOST_AT_ONCE]
            known = wanted[at + 1 : at + 1 + len(part)]
            part = part[: len(known)]
            logits = self._decoder.read(cache, 0, part, len(self._read) + at, adapter)
            total += float(log_softmax(logits)[np.arange(len(known)), list(known)].sum())
            at += len(part)
        return total
