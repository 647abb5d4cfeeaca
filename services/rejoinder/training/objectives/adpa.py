"""Advantage-guided distillation, ADPA. Gao, Wan, Guo et al., ICLR 2025, arXiv 2502.17927, second stage.

loss = -mean_t log p(y_w,t) - gamma * mean_t sum_a p(a | s_t) * A(s_t, a), t over an answer that the student sampled
(the rejected one), A(s, a) = log p_teacher(a | s) - log p_before(a | s): the larger model that preferences have aligned
against the same model before that, never the student. The sum is unbounded where the latter is near zero: A is clipped.
Of the vocabulary the teacher's likeliest tokens stand for themselves and the rest is one outcome. Sample anew when the
student has moved.
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.training.objectives.params import Checked, number
from rejoinder.training.views import Loss, TaughtLogps, total


@dataclass(frozen=True)
class Params(Checked):
    gamma: float = number(1.0, low=0.0, unit="weight of a nat of advantage", paper="not looked up; ours is 1")
    clip: float = number(5.0, low=1e-6, unit="largest advantage of a token, nats", paper="none")


def loss(view: TaughtLogps, params: Params) -> Loss:
    """per_example (B,), nats per token; metric reward_margin (B,): the mean advantage, nats."""
    advantage_BTC = (view.teacher - view.before)[:, 1].clamp(-params.clip, params.clip)
    expected_BT = (view.student[:, 1].exp() * advantage_BTC).sum(-1)
    gained_B = total(expected_BT, view.mask[:, 1]) / view.lengths[:, 1]
    loss_B = -view.chosen_sum / view.lengths[:, 0] - params.gamma * gained_B
    return Loss(loss_B, {"reward_margin": gained_B.detach()})
