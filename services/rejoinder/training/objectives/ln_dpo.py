"""Length-normalised DPO. Ahrabian, Lin, Patra et al., NAACL Findings 2025, arXiv 2407.15229.

loss = -log sigmoid(beta * (rho_w / |y_w| - rho_l / |y_l|)), |y| in tokens with the end token.
It removes the reward that a summed log-ratio pays for length; its own shortcut is to end rejected answers early, so
watch the generated length in the metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(
        5.0, low=1e-6, unit="reward per nat per token", paper="searched in the low units; 5 in arXiv 2411.15124"
    )


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), in units of reward."""
    chosen_B = view.chosen_ratio / view.chosen_length
    rejected_B = view.rejected_ratio / view.rejected_length
    z_B = params.beta * (chosen_B - rejected_B)
    return Loss(-F.logsigmoid(z_B), {"reward_margin": z_B.detach()})
