"""IPO on mean token log-ratios: arXiv 2310.12036, eq. 17, with each side divided by its length.

loss = (rho_w / |y_w| - rho_l / |y_l| - 1 / (2 tau))^2. TRL's `ipo` is this form.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    tau: float = number(
        0.1, low=1e-6, unit="1 / (2 nats per token of target margin)", paper="0.1, 0.5 and 1 in its bandit"
    )


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,), 1/2 at the optimum."""
    gap_B = view.chosen_ratio / view.chosen_length - view.rejected_ratio / view.rejected_length
    return Loss((gap_B - 1 / (2 * params.tau)) ** 2, {"reward_margin": params.tau * gap_B.detach()})
