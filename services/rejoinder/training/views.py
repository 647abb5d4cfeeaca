"""What an objective may see: typed views over token log-probabilities, made by the loop and read by pure functions.

Shape letters: B pairs, T response tokens (the longest of the batch). A token log-probability is
`log_softmax(logits[t - 1])[y[t]]`, already shifted; response tokens include the end-of-turn token and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """per_example (B,): one number a pair, unweighted, with gradient. metrics: detached (B,) tensors by name."""

    per_example: Tensor
    metrics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PairLogps:
    """B pairs under the policy and under its frozen reference.

    chosen, rejected (B, T): the policy's token log-probabilities, nats; whatever stands outside the mask is ignored.
    chosen_mask, rejected_mask (B, T) bool: true on response tokens.
    ref_chosen, ref_rejected (B, T): the reference's; None for an objective whose row does not need them.
    weight (B,): how much the pair counts, >= 0; applied by the loop, never by an objective.
    margin (B,): how much better the chosen response was judged, in the judge's unit; 0 where unknown.
    eps (B,): probability in [0, 0.5) that the label is flipped; NaN where nobody estimated it.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_mask: Tensor
    rejected_mask: Tensor
    ref_chosen: Tensor | None
    ref_rejected: Tensor | None
    weight: Tensor
    margin: Tensor
    eps: Tensor

    @property
    def chosen_sum(self) -> Tensor:
        """(B,) log p(chosen | prompt), nats."""
        return total(self.chosen, self.chosen_mask)

    @property
    def rejected_sum(self) -> Tensor:
        """(B,) log p(rejected | prompt), nats."""
        return total(self.rejected, self.rejected_mask)

    @property
    def chosen_length(self) -> Tensor:
        """(B,) response tokens with the end token, at least 1, in the dtype of the log-probabilities."""
        return self.chosen_mask.sum(-1).clamp(min=1).to(self.chosen.dtype)

    @property
    def rejected_length(self) -> Tensor:
        """(B,) as chosen_length."""
        return self.rejected_mask.sum(-1).clamp(min=1).to(self.rejected.dtype)

    @property
    def chosen_ratio(self) -> Tensor:
        """(B,) log p(chosen) - log p_ref(chosen), nats."""
        return self.chosen_sum - total(_needed(self.ref_chosen), self.chosen_mask)

    @property
    def rejected_ratio(self) -> Tensor:
        """(B,) log p(rejected) - log p_ref(rejected), nats."""
        return self.rejected_sum - total(_needed(self.ref_rejected), self.rejected_mask)


def total(logps_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """(B,) sum over response tokens; masked entries may hold anything, NaN included."""
    return torch.where(mask_BT, logps_BT, logps_BT.new_zeros(())).sum(-1)


def _needed(reference: Tensor | None) -> Tensor:
    if reference is None:
        raise TypeError(
            "this objective reads reference log-probabilities but its row does not declare that it needs them"
        )
    return reference
