"""Kahneman-Tversky optimisation. Ethayarajh, Xu, Muennighoff et al., ICML 2024, arXiv 2402.01306, eq. 8.

A good answer costs desirable * (1 - sigmoid(beta * (rho - z0))), a bad one undesirable * (1 - sigmoid(beta * (z0 -
rho))), rho = log p - log p_ref of the whole answer, z0 an estimate of KL(policy || reference) without gradient. No
answer needs another to the same prompt; one that stands alone weighs as much as the two of a pair together. The paper
wants desirable * good / (undesirable * bad) in [1, 4/3], weighed so.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import JudgedLogps, Loss


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="value per nat of log-ratio", paper="0.1")
    desirable: float = number(1.0, low=0.0, unit="loss a good answer", paper="1, more where good ones are rare")
    undesirable: float = number(1.0, low=0.0, unit="loss a bad answer", paper="1")


def loss(view: JudgedLogps, params: Params) -> Loss:
    """per_example (B,): the mean over a prompt's answers; metric reward_margin (B,): what good ones gained and bad ones
    lost over z0, in units of reward."""
    over_BK = params.beta * (view.ratio - view.divergence)
    right_BK = torch.where(view.desirable, over_BK, -over_BK)
    weight_BK = torch.where(
        view.desirable, over_BK.new_tensor(params.desirable), over_BK.new_tensor(params.undesirable)
    )
    weight_BK = weight_BK * view.present
    answers_B = view.present.sum(-1)
    margin_B = (right_BK * view.present).sum(-1) / answers_B
    # 1 - sigmoid(x), without losing the digits of a small one.
    return Loss((weight_BK * torch.sigmoid(-right_BK)).sum(-1) / answers_B, {"reward_margin": margin_B.detach()})
