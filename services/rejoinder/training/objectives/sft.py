"""Supervised fine-tuning on the chosen response: mean token negative log-likelihood, the rejected side unread.

The control of every preference objective: what the same pairs give without a negative gradient (arXiv 2404.14367).
"""

from __future__ import annotations

from dataclasses import dataclass

from rejoinder.training.objectives.params import Checked
from rejoinder.training.views import Loss, PairLogps


@dataclass(frozen=True)
class Params(Checked):
    """It has none."""


def loss(view: PairLogps, params: Params) -> Loss:
    """per_example (B,), nats per token."""
    return Loss(-view.chosen_sum / view.chosen_length)
