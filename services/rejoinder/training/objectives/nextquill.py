"""Imitation weighed by what a user's history explains, NextQuill. You et al., arXiv 2506.02368, and its released code.

loss = sum_t w_t * -log p_a(y_t) / sum_t w_t + alpha * mean_t -log softmax(a_t - b_t)[y_t], a and b the logits with the
user's history and without it. w_t is heavy where p_a(y_t) - p_b(y_t) > threshold, else light, and has no gradient. The
released trainer has either the weights (alpha 0) or the second term (heavy = light), and gradients through both a and
b; here the terms are added and b has no gradient: a policy that is taught to be wrong without the history is explained
by it everywhere, and the weights say nothing more. The effect of a history that the policy does not read yet is noise:
begin with `sft`, then continue from it (`init`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import HistoryLogps, Loss, total


@dataclass(frozen=True)
class Params(Checked):
    alpha: float = number(
        0.1, low=0.0, unit="weight of the effect's cross-entropy", paper="0.1, 0.01 in an older class"
    )
    threshold: float = number(
        0.05, low=0.0, high=1.0, unit="probability that the history adds to a token", paper="0.05"
    )
    heavy: float = number(0.9, low=1e-6, unit="weight of a token that the history explains", paper="0.9")
    light: float = number(0.1, low=1e-6, unit="weight of any other token", paper="0.1")


def loss(view: HistoryLogps, params: Params) -> Loss:
    """per_example (B,), nats per token."""
    with torch.no_grad():
        explained_BT = view.chosen.exp() - view.without.exp() > params.threshold
        weight_BT = torch.where(
            explained_BT, view.chosen.new_tensor(params.heavy), view.chosen.new_tensor(params.light)
        )
        whole_B = total(weight_BT, view.mask)
    likelihood_B = -total(weight_BT * view.chosen, view.mask) / whole_B.clamp(min=1e-6)
    effect_B = -total(view.effect, view.mask) / view.mask.sum(-1).clamp(min=1)
    return Loss(likelihood_B + params.alpha * effect_B)
