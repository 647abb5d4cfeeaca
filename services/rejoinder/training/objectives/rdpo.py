"""Robust DPO under flipped labels. Chowdhury, Kini, Natarajan, ICML 2024, arXiv 2403.00409, the
unbiased loss of its section 3.

With flip probability eps < 1/2 and z = beta * (rho_w - rho_l):
loss = ((1 - eps) * l(z) - eps * l(-z)) / (1 - 2 eps), l(z) = -log sigmoid(z).
Its mean over flips is DPO's clean loss. The gradient in z is -(sigmoid(-z) + eps / (1 - 2 eps)): it never vanishes,
so the loss is unbounded below and a separable set drives z away for ever. Use few epochs, gradient clipping and far
more pairs than the adapter can memorise.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1")
    eps: float = number(
        0.1,
        low=0.0,
        high=0.5,
        unit="probability of a flipped label, where a pair states none",
        paper="the true flip rate",
    )


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); each pair's own eps where it is not NaN, else params.eps."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    eps_B = torch.where(view.eps.isnan(), view.eps.new_tensor(params.eps), view.eps)
    kept_B = -(1 - eps_B) * F.logsigmoid(z_B)
    flipped_B = -eps_B * F.logsigmoid(-z_B)
    return Loss((kept_B - flipped_B) / (1 - 2 * eps_B), {"reward_margin": z_B.detach()})
