"""Fits small policies by the rows of the objective table: the world makes views, a row makes the loss, Adam steps.

Every seed of an arm is one group of parameters and pairs in the same tensors. Adam works element by element, so that
the seeds learn side by side without meeting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import PairLogps
from torch import Tensor


@dataclass(frozen=True)
class Arm:
    """One way of learning. objective: a row's name; params: of that row; lr: Adam's; steps: over all pairs at once."""

    objective: str
    params: Mapping[str, float] = field(default_factory=dict)
    lr: float = 0.03
    steps: int = 200


def pair_view(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor) -> PairLogps:
    """(B,) log-probabilities of whole responses as a view of responses of one token, fp64; no flip rate stated."""
    mask = torch.ones(len(chosen), 1, dtype=torch.bool)
    columns = [part[:, None] for part in (chosen, rejected)]
    refs = [part[:, None] for part in (ref_chosen, ref_rejected)]
    ones = torch.ones(len(chosen), dtype=torch.float64)
    return PairLogps(*columns, mask, mask, *refs, weight=ones, margin=0 * ones, eps=ones * torch.nan)


def learn(start: Tensor, view_of: Callable[[Tensor], Any], arm: Arm) -> Tensor:
    """The parameters after `arm.steps` steps from `start` (S, ...), S seeds.

    view_of: parameters → the objective's view of B = S * N pairs or lists, seed by seed. The loss of a seed is its
    pairs' weighted mean.
    """
    row = OBJECTIVES[arm.objective]
    params = row.with_params(arm.params)
    weights = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([weights], lr=arm.lr)
    for _ in range(arm.steps):
        optimiser.zero_grad()
        view = view_of(weights)
        per_example = row.make(view, params).per_example
        weight = view.weight if isinstance(view, PairLogps) else torch.ones_like(per_example)
        loss_SN = (per_example * weight).view(len(start), -1)
        (loss_SN.sum(1) / weight.view(len(start), -1).sum(1)).sum().backward()
        optimiser.step()
    return weights.detach()
