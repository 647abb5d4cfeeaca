"""Tree preference optimisation over ranked lists. Liao, Chu, Wang, ICLR 2025, arXiv 2410.12854, its list loss.

loss = -sum over value_i > value_j of w_ij * log sigmoid(s_i - s_j), s = beta * rho, the weights LambdaRank's:
w_ij = |2^g_i - 2^g_j| * |1 / log2(1 + rank_i) - 1 / log2(1 + rank_j)|, rank by s and without gradient. g is the judge's
value laid into [0, 1] within its list, so that a judge's unit means nothing. Of two answers this is DPO's loss times
1 - 1 / log2(3). The paper's released code takes -log sigmoid of the list loss, which raises it, and all w = 1; this is
the equation. Its adaptive weight of a step needs hidden states and is not here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import ListLogps, Loss


@dataclass(frozen=True)
class Params(Checked):
    beta: float = number(0.5, low=1e-6, unit="reward per nat of log-ratio", paper="0.5")


def loss(view: ListLogps, params: Params) -> Loss:
    """per_example (B,); metric reward_margin (B,): best less worst, in units of reward."""
    score_BK = params.beta * view.ratio
    gain_BK = _gain(view)
    with torch.no_grad():
        last = score_BK.masked_fill(~view.present, -torch.inf)
        rank_BK = last.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1, stable=True) + 1
        discount_BK = 1 / torch.log2(1 + rank_BK.to(score_BK.dtype))
        steps_BKK = (discount_BK[:, :, None] - discount_BK[:, None, :]).abs()
        better_BKK = view.value[:, :, None] > view.value[:, None, :]
        both_BKK = view.present[:, :, None] & view.present[:, None, :]
        weight_BKK = (gain_BK[:, :, None] - gain_BK[:, None, :]).abs() * steps_BKK * better_BKK * both_BKK
    gap_BKK = score_BK[:, :, None] - score_BK[:, None, :]
    worst_B = (view.present.sum(-1) - 1)[:, None]
    margin_B = score_BK[:, 0] - score_BK.gather(1, worst_B).squeeze(1)
    return Loss(-(weight_BKK * F.logsigmoid(gap_BKK)).sum((1, 2)), {"reward_margin": margin_B.detach()})


def _gain(view: ListLogps) -> torch.Tensor:
    """(B, K) 2^g - 1 with g in [0, 1]; 0 in a list of equals."""
    low = view.value.masked_fill(~view.present, torch.inf).amin(-1, keepdim=True)
    high = view.value.masked_fill(~view.present, -torch.inf).amax(-1, keepdim=True)
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return 2 ** ((view.value - low) / span) - 1
