"""DPO with the negative log-likelihood of the chosen response: Pang, Yuan, Cho et al., NeurIPS 2024, arXiv 2404.19733,
eq. 1, as Kawakami, Suzuki, Iwasawa, arXiv 2504.18080 use it for answers that stay right when they must be explained.

loss = -log sigmoid(beta * (rho_w - rho_l)) - alpha * log p(y_w) / |y_w|. A contrastive loss is content when both
responses fall; the second term is not. The loop's own anchor is the same term: `anchor_weight` is 0 beside this row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1")
    alpha: float = number(1.0, low=0.0, unit="loss per nat per token of the chosen response", paper="1")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), in units of reward."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    nll_B = -view.chosen_sum / view.chosen_length
    return Loss(-F.logsigmoid(z_B) + params.alpha * nll_B, {"reward_margin": z_B.detach()})
