"""The prompt once: a row holds prompt, chosen and rejected; positions restart and a mask keeps the responses apart.

Shape letters: B rows (one pair or list each), L tokens of the longest row, K responses of a row (2 for a pair), T
tokens of the longest response. The last prompt token's hidden state predicts the first token of every response.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rejoinder.training.examples import Example


@dataclass(frozen=True)
class Packed:
    """ids, positions (B, L) long. allowed (B, L, L) bool: may query row i see key column j.
    at (B, K, T) long: index into the flattened (B * L) states of the one that predicts each response token.
    targets (B, K, T) long: those tokens. mask (B, K, T) bool: which of them are real and counted.
    weight, margin, eps (B,) and value (B, K) float64. sizes: tokens of each row's prompt, then of each response.
    """

    ids: Tensor
    positions: Tensor
    allowed: Tensor
    at: Tensor
    targets: Tensor
    mask: Tensor
    weight: Tensor
    margin: Tensor
    eps: Tensor
    value: Tensor
    sizes: tuple[tuple[int, ...], ...]

    def additive_mask(self, dtype: torch.dtype) -> Tensor:
        """(B, 1, L, L) zero where attention is allowed, the dtype's lowest value elsewhere."""
        blocked = torch.zeros(self.allowed.shape, dtype=dtype, device=self.allowed.device)
        return blocked.masked_fill_(~self.allowed, torch.finfo(dtype).min).unsqueeze(1)

    def to(self, device: torch.device) -> Packed:
        return replace(self, **{name: each.to(device) for name, each in vars(self).items() if name != "sizes"})


def batches(lengths: Sequence[int], tokens_per_batch: int) -> list[list[int]]:
    """Indices grouped so that rows * longest <= tokens_per_batch, longest first; a row above the budget goes alone.

    Of all cuts of the sorted rows, the one that computes the fewest padded tokens, where a further batch counts as a
    sixteenth of a full one: for what each costs besides its tokens.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    cost, start = [0.0], [0]
    for end in range(1, len(order) + 1):
        ways = []
        for begin in range(end - 1, -1, -1):
            padded = (end - begin) * lengths[order[begin]]
            if padded > tokens_per_batch and end - begin > 1:
                break
            ways.append((cost[begin] + padded + tokens_per_batch / 16, begin))
        least = min(ways)
        cost.append(least[0])
        start.append(least[1])
    groups: list[list[int]] = []
    end = len(order)
    while end:
        groups.append(order[start[end] : end])
        end = start[end]
    return groups[::-1]


def pack(examples: Sequence[Example]) -> Packed:
    """One row an example. Padding tokens see only themselves, so no row of attention is empty."""
    rows, length = len(examples), max(e.tokens for e in examples)
    sides = max(len(e.responses) for e in examples)
    longest = max(len(r) for e in examples for r in e.responses)
    ids = torch.zeros(rows, length, dtype=torch.long)
    positions = torch.zeros(rows, length, dtype=torch.long)
    segment = torch.full((rows, length), -1, dtype=torch.long)
    at = torch.zeros(rows, sides, longest, dtype=torch.long)
    targets = torch.zeros(rows, sides, longest, dtype=torch.long)
    mask = torch.zeros(rows, sides, longest, dtype=torch.bool)
    for b, example in enumerate(examples):
        prompt = len(example.prompt)
        ids[b, :prompt] = torch.tensor(example.prompt)
        positions[b, :prompt] = torch.arange(prompt)
        segment[b, :prompt] = 0
        start = prompt
        for k, response in enumerate(example.responses):
            size = len(response)
            tokens = torch.tensor(response)
            ids[b, start : start + size] = tokens
            positions[b, start : start + size] = torch.arange(prompt, prompt + size)
            segment[b, start : start + size] = k + 1
            targets[b, k, :size] = tokens
            mask[b, k, :size] = True if example.counted is None else torch.tensor(example.counted[k])
            at[b, k, 0] = b * length + prompt - 1
            at[b, k, 1:size] = b * length + start + torch.arange(size - 1)
            start += size
    query, key = segment.unsqueeze(2), segment.unsqueeze(1)
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    allowed = causal & ((key == 0) | (key == query)) & (query >= 0)
    allowed |= torch.eye(length, dtype=torch.bool)

    def per_row(name: str) -> Tensor:
        return torch.tensor([getattr(e, name) for e in examples], dtype=torch.float64)

    value = torch.tensor([[*e.values, *[0.0] * (sides - len(e.values))] for e in examples], dtype=torch.float64)
    per_rows = (per_row("weight"), per_row("margin"), per_row("eps"))
    sizes = tuple((len(e.prompt), *map(len, e.responses)) for e in examples)
    return Packed(ids, positions, allowed, at, targets, mask, *per_rows, value, sizes)
