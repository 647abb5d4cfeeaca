"""Value-incentivised preference optimisation, offline. Cen, Mei, Goshvadi et al., ICLR 2025, arXiv 2405.19320.

loss = -log sigmoid(beta * (rho_w - rho_l)) - alpha * beta * rho_w: the reward is fixed by a mean of zero on calibration
answers, and a reward that promises a high optimal value is held against it (pessimism). The calibration answers are the
chosen ones, so that the term keeps them likely. The online form turns the sign and takes samples of the reference
(optimism); it needs those samples and is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1")
    alpha: float = number(
        0.1, low=0.0, unit="share of the value's weight in the loss", paper="0.01 to 10 in its bandit"
    )


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), in units of reward."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    value_B = params.beta * view.chosen_ratio
    return Loss(-F.logsigmoid(z_B) - params.alpha * value_B, {"reward_margin": z_B.detach()})
