"""Efficient exact optimisation on pairs. Ji, Lu, Niu et al., ICML 2024, arXiv 2402.00856, eq. 16; second phase of
PRefLexOR (Buehler, arXiv 2410.12375), where thinking tokens are left out (the loop's `thoughts`).

loss = KL(q || p), q = (sigmoid(z), sigmoid(-z)) of the policy, z = beta * (rho_w - rho_l), p = (1 - eps, eps) of
the label. The reverse KL seeks the label's mode; DPO's is the forward one. It is done at z = log((1 - eps) / eps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1")
    eps: float = number(1e-3, low=1e-9, high=0.5, unit="probability that the label gives to the rejected", paper="1e-3")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,), nats; metric reward_margin (B,), in units of reward."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    kept_B = torch.sigmoid(z_B) * (F.logsigmoid(z_B) - math.log1p(-params.eps))
    lost_B = torch.sigmoid(-z_B) * (F.logsigmoid(-z_B) - math.log(params.eps))
    return Loss(kept_B + lost_B, {"reward_margin": z_B.detach()})
