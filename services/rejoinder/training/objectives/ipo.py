"""Identity Preference Optimization. Azar, Rowland, Piot et al., AISTATS 2024, arXiv 2310.12036, eq. 17.

loss = (rho_w - rho_l - 1 / (2 tau))^2 on whole responses, as the equation stands. The target margin does not know
about length: with summed log-ratios a long pair meets it with a smaller change per token than a short one. The form
that its authors later named as the one behind their results divides by length and is another row, `ipo_norm`;
a library's "ipo" may be either.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    tau: float = number(0.1, low=1e-6, unit="1 / (2 nats of target margin)", paper="0.1, 0.5 and 1 in its bandit")


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,) = tau * (rho_w - rho_l), 1/2 at the optimum."""
    gap_B = view.chosen_ratio - view.rejected_ratio
    return Loss((gap_B - 1 / (2 * params.tau)) ** 2, {"reward_margin": params.tau * gap_B.detach()})
