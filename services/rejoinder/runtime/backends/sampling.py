"""Choosing the next token from logits: each row has its own temperature, nucleus, seed and log-probability."""

from __future__ import annotations

import numpy as np

from rejoinder.core.types import Sampling


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """(…, V) logits → (…, V) log-probabilities in nats, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def choose(log_probs: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """One token of a (V,) row. temperature 0 is greedy; top_k 0 and top_p 0 or 1 mean no cut."""
    if sampling.temperature <= 0:
        return int(log_probs.argmax())
    # The maximum is taken off first: a temperature near 0 then divides by it without overflow.
    scaled = (log_probs - log_probs.max()) / sampling.temperature
    if sampling.top_k <= 0 and not 0 < sampling.top_p < 1:
        # Nothing is cut, so nothing needs to be sorted.
        return _drawn(np.exp(scaled), generator)
    order = np.argsort(-scaled, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    weights = np.exp(scaled[order])
    if 0 < sampling.top_p < 1:
        weights /= weights.sum()
        # The smallest set whose mass reaches top_p: a token belongs when the mass before it is still below.
        kept = np.cumsum(weights) - weights < sampling.top_p
        order, weights = order[kept], weights[kept]
    return int(order[_drawn(weights, generator)])


def _drawn(weights: np.ndarray, generator: np.random.Generator) -> int:
    """An index with probability in proportion to its weight."""
    total = np.cumsum(weights)
    return min(int(np.searchsorted(total, generator.random() * total[-1], side="right")), len(weights) - 1)
