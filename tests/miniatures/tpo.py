"""Row 97, TPO (arXiv 2410.12854) in miniature: a list of five teaches an order that its best and worst do not.

Few prompts, five answers each, values with noise. DPO has the best and the worst of the same lists and as many steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from rejoinder.training.views import ListLogps, PairLogps
from scipy import stats
from torch import Tensor

from tests.miniatures import choices
from tests.miniatures.choices import World
from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ROW, LISTS, PLACES, NOISE = 97, 40, 5, 1.0
HELD = 40
BETA = 0.5

#: `python -m tests.miniatures.tune tpo`: greatest mean Kendall tau on seeds 1000 to 1007.
DPO = Arm("dpo", {"beta": BETA}, lr=0.01, steps=150)
TPO = Arm("tpo", {"beta": BETA}, lr=0.1, steps=150)


def world(seeds: Sequence[int]) -> tuple[World, Tensor, Tensor]:
    """The world; answers (S, LISTS, PLACES) best first to the first prompts, and their values."""
    made = choices.world(ROW, seeds)
    order, noise = choices.drawn(
        ROW,
        seeds,
        lambda rng: (rng.random((LISTS, choices.ANSWERS)).argsort(-1), rng.normal(size=(LISTS, PLACES)) * NOISE),
    )
    answers = order[..., :PLACES]
    value = made.reward(0)[:, :LISTS].gather(2, answers) + noise
    value, best_first = value.sort(-1, descending=True)
    return made, answers.gather(2, best_first), value


def fit(world: World, answers: Tensor, value: Tensor, arm: Arm) -> Tensor:
    """Weights (S, D): by the whole lists, or where the objective reads pairs by their ends."""
    mask = torch.ones(answers[..., 0].numel(), PLACES, 1, dtype=torch.bool)
    flat = torch.full((len(mask),), -np.log(choices.ANSWERS), dtype=torch.float64)
    reference = flat[:, None, None].expand(-1, PLACES, 1)

    def view_of(weights: Tensor) -> ListLogps | PairLogps:
        logps = world.log_policy(weights, 0)[:, :LISTS].gather(2, answers).flatten(0, 1)
        if arm.objective == "dpo":
            return pair_view(logps[:, 0], logps[:, -1], flat, flat)
        return ListLogps(logps[..., None], mask, reference, mask[..., 0], value.flatten(0, 1))

    return learn(world.start, view_of, arm)


def tau(world: World, weights: Tensor) -> Floats:
    """(S,) mean Kendall tau of the policy's order of all answers with the hidden reward's, on other prompts."""
    said, true = world.log_policy(weights, 1)[:, :HELD].numpy(), world.reward(1)[:, :HELD].numpy()
    return np.array(
        [
            np.mean([stats.kendalltau(*pair).statistic for pair in zip(*rows, strict=True)])
            for rows in zip(said, true, strict=True)
        ]
    )


def claims(world: World, pairs: Tensor, lists: Tensor) -> list[Claim]:
    return [
        exceeds("Kendall tau on other prompts, lists less their ends", tau(world, lists) - tau(world, pairs), 0.05),
        exceeds("value not lower", world.value(lists) - world.value(pairs), 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's values stand on the wrong answers of their lists."""
    made, answers, value = world(seeds)
    shuffle = torch.from_numpy(np.stack([np.random.default_rng([ROW, s, 2]).random(value.shape[1:]) for s in seeds]))
    pairs, lists = fit(made, answers, value, DPO), fit(made, answers, value, TPO)
    lost = fit(made, answers.gather(2, shuffle.argsort(-1)), value, TPO)
    beside = {"Kendall tau, DPO": tau(made, pairs), "Kendall tau, TPO": tau(made, lists)}
    beside |= {"value, DPO": made.value(pairs), "value, TPO": made.value(lists)}
    return Found(
        claims(made, pairs, lists), claims(made, pairs, lost), {name: interval(found) for name, found in beside.items()}
    )
