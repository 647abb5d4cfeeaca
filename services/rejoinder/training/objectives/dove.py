"""Joint preference over instruction-response pairs, DOVE. Bansal, Suvarna, Bhatt et al., arXiv 2404.00530, eq. 4.

loss = -log sigmoid(beta * (log p(x_w, y_w) / p_ref(x_w, y_w) - log p(x_l, y_l) / p_ref(x_l, y_l))). The two prompts may
differ, and what each has for itself is counted with its response: a long one dominates the sum. Where they are one
prompt it cancels, and the loss is DPO's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.1, low=1e-6, unit="reward per nat of log-ratio", paper="0.1")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), in units of reward. A response begins with its own prompt."""
    z_B = params.beta * (view.chosen_ratio - view.rejected_ratio)
    return Loss(-F.logsigmoid(z_B), {"reward_margin": z_B.detach()})
