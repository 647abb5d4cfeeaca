"""Dual-constrained distillation, DCKD. Gao, Wan, Guo et al., ICLR 2025, arXiv 2502.17927, first stage.

loss = -mean_t log p(y_w,t) + alpha * (KL on the chosen + KL on the rejected), each a mean over the answer's tokens of
KL(teacher || student), the teacher a larger model that preferences have aligned. Of the vocabulary the teacher's
likeliest tokens stand for themselves and the rest is one outcome, so that the divergence is a lower bound of the whole
one and equal to it where the rest is as the teacher has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, TaughtLogps, total


@dataclass(frozen=True)
class Params(Checked):
    alpha: float = number(1.0, low=0.0, unit="weight of the divergences", paper="not looked up; ours is 1")


def loss(view: TaughtLogps, params: Params) -> Loss:
    """per_example (B,), nats per token."""
    apart_BKT = (view.teacher.exp() * (view.teacher - view.student)).sum(-1)
    apart_B = (total(apart_BKT, view.mask) / view.lengths).sum(1)
    return Loss(-view.chosen_sum / view.lengths[:, 0] + params.alpha * apart_B)
