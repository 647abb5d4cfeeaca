"""What the frozen lower layers make of every answer, once, in bfloat16 (1 GB for 4,000 pairs)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rejoinder.core.answertext import TokenRow
from rejoinder.training.heads.model import RewardEncoder


class States:
    """States of rows before the first tuned layer. owns: the cache. rows: (first of pair 0, second of pair 0, …)."""

    def __init__(self, model: RewardEncoder, rows: Sequence[TokenRow], budget: int = 8000) -> None:
        self.sizes = np.array([len(row.ids) for row in rows])
        self._types = [torch.tensor(row.types) for row in rows]
        self._states: list[Tensor] = [torch.empty(0)] * len(rows)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            for part in batches(self.sizes, budget):
                ids, mask, types = tensors([rows[i] for i in part])
                for i, states in zip(part, model.lower(ids, mask, types), strict=True):
                    self._states[i] = states[: self.sizes[i]].to(torch.bfloat16).clone()

    def padded(self, which: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """states (B, T, D) float32, mask and types (B, T)."""
        size = int(self.sizes[list(which)].max())
        states = torch.zeros(len(which), size, self._states[0].shape[1])
        mask, types = (torch.zeros(len(which), size, dtype=torch.long) for _ in range(2))
        for at, i in enumerate(which):
            n = int(self.sizes[i])
            states[at, :n], mask[at, :n], types[at, :n] = self._states[i], 1, self._types[i]
        return states, mask, types


def tensors(rows: Sequence[TokenRow]) -> tuple[Tensor, Tensor, Tensor]:
    """ids, mask, types of rows padded on the right (B, T)."""
    size = max(len(row.ids) for row in rows)
    ids, mask, types = (torch.zeros(len(rows), size, dtype=torch.long) for _ in range(3))
    for at, row in enumerate(rows):
        n = len(row.ids)
        ids[at, :n], mask[at, :n], types[at, :n] = torch.tensor(row.ids), 1, torch.tensor(row.types)
    return ids, mask, types


def batches(
    sizes: np.ndarray, budget: int, rng: np.random.Generator | None = None, window: int = 256
) -> list[list[int]]:
    """Indices in batches of at most `budget` padded tokens, sorted by size within windows; shuffled if rng is given."""
    order = np.arange(len(sizes)) if rng is None else rng.permutation(len(sizes))
    out: list[list[int]] = []
    span = len(order) if rng is None else window
    for start in range(0, len(order), max(span, 1)):
        part: list[int] = []
        for i in sorted(order[start : start + span], key=lambda i: sizes[i]):
            if part and sizes[i] * (len(part) + 1) > budget:
                out.append(part)
                part = []
            part.append(int(i))
        out.append(part)
    if rng is not None:
        rng.shuffle(out)
    return out
