"""The baseline: the same trainer without its one idea. Each answer is a row with a prompt of its own.

Everything else is ours: rows sorted by length and cut by tokens, head on response tokens, fused branches, two hands.
Its rows are plain causal ones, so they need no mask, and attention computes half of the square.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rejoinder.training import loop, references
from rejoinder.training.examples import Example
from rejoinder.training.pack import Packed


def computed(example: Example) -> int:
    """Tokens that a pair costs: twice its longer row."""
    return 2 * (len(example.prompt) + max(map(len, example.responses)))


@dataclass(frozen=True)
class Causal(Packed):
    """Rows of one answer each, padded on the right: (2B, L)."""

    def additive_mask(self, dtype: torch.dtype) -> None:  # type: ignore[override]
        return None


def pack(examples: Sequence[Example]) -> Causal:
    """Chosen rows, then rejected ones; states and targets (B, 2, T) as in training/pack."""
    rows, length = len(examples), max(map(computed, examples)) // 2
    longest = max(len(r) for e in examples for r in e.responses)
    ids = torch.zeros(2 * rows, length, dtype=torch.long)
    at, targets = torch.zeros(2, rows, 2, longest, dtype=torch.long)
    mask = torch.zeros(rows, 2, longest, dtype=torch.bool)
    for b, example in enumerate(examples):
        prompt = len(example.prompt)
        for k, response in enumerate(example.responses):
            row, size = b + k * rows, len(response)
            ids[row, : prompt + size] = torch.tensor((*example.prompt, *response))
            targets[b, k, :size] = torch.tensor(response)
            at[b, k, :size] = row * length + prompt - 1 + torch.arange(size)
            mask[b, k, :size] = True
    positions = torch.arange(length).expand_as(ids)

    def per_row(name: str) -> torch.Tensor:
        return torch.tensor([getattr(e, name) for e in examples], dtype=torch.float64)

    value = torch.tensor([e.values for e in examples], dtype=torch.float64)
    unused = torch.zeros(0, dtype=torch.bool)
    weights = (per_row("weight"), per_row("margin"), per_row("eps"))
    sizes = tuple((len(e.prompt) + len(e.responses[k]),) for k in (0, 1) for e in examples)
    return Causal(ids, positions, unused, at, targets, mask, *weights, value, sizes)


def install() -> None:
    """In this process the trainer packs so."""
    loop.pack = references.pack = pack  # type: ignore[assignment]
    Example.tokens = property(computed)  # type: ignore[assignment,method-assign]
