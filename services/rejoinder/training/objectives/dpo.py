"""Direct Preference Optimization. Rafailov, Sharma, Mitchell et al., NeurIPS 2023, arXiv 2305.18290, eq. 7.

loss = -log sigmoid(beta * (rho_w - rho_l)), rho = log p - log p_ref of the whole response.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1 (0.5 for TL;DR)")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), in units of reward."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    return Loss(-F.logsigmoid(z_B), {"reward_margin": z_B.detach()})
