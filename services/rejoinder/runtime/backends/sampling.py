"""Choosing tokens from logits: each row has its own temperature, nucleus, seed and log-probability."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rejoinder.core.types import Sampling


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """(…, V) logits → (…, V) log-probabilities in nats, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def choose(
    logits: np.ndarray, samplings: Sequence[Sampling], generators: Sequence[np.random.Generator]
) -> tuple[np.ndarray, np.ndarray]:
    """(B, V) logits → (B,) tokens and their (B,) log-probabilities at temperature 1, in nats.

    temperature 0 is greedy; top_k 0 and top_p 0 or 1 mean no cut. A row's token depends on its own logits, sampling
    and generator alone. Rows without a cut are drawn together, unsorted: most of a step's cost is here otherwise.
    """
    shifted = logits - logits.max(axis=-1, keepdims=True)
    weights = np.exp(shifted)
    totals = np.log(weights.sum(axis=-1, dtype=np.float64))
    tokens = np.empty(len(samplings), np.int64)
    plain: list[int] = []
    for row, sampling in enumerate(samplings):
        if sampling.temperature <= 0:
            tokens[row] = shifted[row].argmax()
        elif sampling.top_k > 0 or 0 < sampling.top_p < 1:
            tokens[row] = _cut(_tempered(shifted[row], sampling), sampling, generators[row])
        else:
            plain.append(row)
            if sampling.temperature != 1:
                weights[row] = _tempered(shifted[row], sampling)
    if plain:
        tokens[plain] = _drawn(weights[plain], np.array([generators[row].random() for row in plain]))
    return tokens, shifted[np.arange(len(tokens)), tokens] - totals


def _tempered(shifted: np.ndarray, sampling: Sampling) -> np.ndarray:
    """(V,) weights; the greatest is 1, so a temperature near 0 divides nothing that could overflow."""
    return np.exp(shifted.astype(np.float64) / sampling.temperature)


def _cut(weights: np.ndarray, sampling: Sampling, generator: np.random.Generator) -> int:
    """A token of a (V,) row of which only the most probable are kept."""
    order = np.argsort(-weights, kind="stable")
    if sampling.top_k > 0:
        order = order[: sampling.top_k]
    kept = weights[order]
    if 0 < sampling.top_p < 1:
        # The smallest set whose mass reaches top_p: a token belongs when the mass before it is still below.
        kept = kept[np.cumsum(kept) - kept < sampling.top_p * kept.sum()]
    return int(order[_drawn(kept[None], np.array([generator.random()]))[0]])


def _drawn(weights: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(B, V) weights and (B,) numbers in [0, 1) → (B,) indices, each with probability in proportion to its weight."""
    total = np.cumsum(weights, axis=-1, dtype=np.float64)
    return np.minimum((total <= (at * total[:, -1])[:, None]).sum(axis=-1), weights.shape[-1] - 1)
