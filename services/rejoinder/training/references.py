"""What the frozen reference thinks of every response: computed once, because it is the same in every step and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from rejoinder.training.adapters import reference
from rejoinder.training.examples import Example
from rejoinder.training.logps import causal_lm, token_logps
from rejoinder.training.pack import Packed, batches, pack
from rejoinder.training.parallel import Hands, Team
from rejoinder.training.settings import TrainSettings


class References:
    """Token log-probabilities of all examples under the reference. owns: one number per counted token.

    Every process of a team computes its share. The batches depend on the examples alone, so that a resumed run sees the
    same numbers to the bit.
    """

    def __init__(
        self, model: Any, examples: Sequence[Example], settings: TrainSettings, team: Team, hands: Hands
    ) -> None:
        sizes = [e.seen for e in examples]
        self._starts = [0, *accumulate(sizes)]
        lm = causal_lm(model)
        device, dtype = lm.device, torch.promote_types(lm.dtype, torch.float32)
        self._flat = torch.zeros(self._starts[-1], dtype=dtype, device=device)

        def compute(group: list[int]) -> list[Tensor]:
            packed = pack([examples[i] for i in group]).to(device)
            with torch.no_grad():
                found = token_logps(model, packed)
            return [logps[mask] for logps, mask in zip(found, packed.mask, strict=True)]

        budget = settings.tokens_per_batch // hands.count
        groups = team.share(batches([e.tokens for e in examples], budget))
        with reference(model, settings.reference):
            for group, found in zip(groups, hands.map(compute, groups), strict=True):
                for i, logps in zip(group, found, strict=True):
                    self._flat[self._starts[i] : self._starts[i + 1]] = logps
        team.add([self._flat])

    def of(self, indices: Sequence[int], packed: Packed) -> Tensor:
        """(B, K, T) of these examples, nats, packed in this order; zero outside the mask."""
        flat = torch.cat([self._flat[self._starts[i] : self._starts[i + 1]] for i in indices])
        return flat.new_zeros(packed.mask.shape).masked_scatter(packed.mask, flat)
