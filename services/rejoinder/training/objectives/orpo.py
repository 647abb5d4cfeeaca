"""Odds ratio preference optimisation. Hong, Lee, Thorne, EMNLP 2024, arXiv 2403.07691, eq. 6 and 7; first phase of
PRefLexOR (Buehler, arXiv 2410.12375).

loss = -log p_w - lambda * log sigmoid(log odds_w - log odds_l), log p = mean token log-probability of a response,
odds = p / (1 - p). Imitation and preference in one stage without a reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps

#: log p of a response that is certain to rounding; its odds would be infinite.
CERTAIN = -1e-7


@dataclass(frozen=True)
class Params(Checked):
    weight: float = number(0.1, low=0.0, unit="loss per unit of the odds ratio's term", paper="lambda 0.1, 0.2, 0.25")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,), nats; metric reward_margin (B,) = log odds ratio, nats."""
    chosen_B = view.chosen_sum / view.chosen_length
    rejected_B = view.rejected_sum / view.rejected_length
    z_B = _log_odds(chosen_B) - _log_odds(rejected_B)
    return Loss(-chosen_B - params.weight * F.logsigmoid(z_B), {"reward_margin": z_B.detach()})


def _log_odds(logp_B: Tensor) -> Tensor:
    """log p - log(1 - p), by whichever form of log(1 - p) loses no digits."""
    logp_B = logp_B.clamp(max=CERTAIN)
    likely = logp_B > -0.6931
    # The branch not taken may overflow and its gradient must not: each sees a value of its own side.
    near = torch.log(-torch.expm1(torch.where(likely, logp_B, -torch.ones_like(logp_B))))
    far = torch.log1p(-torch.exp(torch.where(likely, -torch.ones_like(logp_B), logp_B)))
    return logp_B - torch.where(likely, near, far)
