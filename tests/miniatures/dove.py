"""Row 28, DOVE (arXiv 2404.00530) in miniature: beside few comparisons, answers to different prompts teach more.

Three hundred comparisons of answers to one prompt, and three hundred of whole prompt-answer pairs. The policy gives
prompts no probability of its own, so that what a side's prompt counts is nothing. Tastes are weak: where they are
strong (a norm of 2, 64 features) joint pairs cost value, as an answer is weighed against all that its prompt allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures import choices
from tests.miniatures.choices import World
from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ROW, PAIRS, BETA = 28, 300, 1.0
SIZE, NORM = 32, 0.7

#: `python -m tests.miniatures.tune dove`: greatest mean value less KL on seeds 1000 to 1007, each on its own pairs.
CONDITIONAL = Arm("dpo", {"beta": BETA}, lr=0.03, steps=150)
JOINT = Arm("dove", {"beta": BETA}, lr=0.03, steps=150)

#: prompts and answers (S, N, 2) of either side, the preferred first.
Pairs = tuple[Tensor, Tensor]


def world(seeds: Sequence[int]) -> tuple[World, Pairs, Pairs, Tensor]:
    """The world, twice PAIRS comparisons over one prompt, PAIRS over two, and the latter's coins (S, N)."""
    made = choices.world(ROW, seeds, SIZE, NORM)
    count = 3 * PAIRS
    prompt, answer, step, coins = choices.drawn(
        ROW,
        seeds,
        lambda rng: (
            rng.integers(choices.PROMPTS, size=(count, 2)),
            rng.integers(choices.ANSWERS, size=(count, 2)),
            rng.integers(1, choices.ANSWERS, size=count),
            rng.random((2, count)),
        ),
    )
    prompt[:, : 2 * PAIRS, 1] = prompt[:, : 2 * PAIRS, 0]
    answer[:, : 2 * PAIRS, 1] = ((answer[..., 0] + step) % choices.ANSWERS)[:, : 2 * PAIRS]
    first, second = (choices.at(made.reward(0), prompt[..., k], answer[..., k]) for k in (0, 1))
    liked = choices.preferred(first - second, coins[:, 0])
    ordered = (prompt, answer) = _turned(prompt, ~liked), _turned(answer, ~liked)
    one = tuple(part[:, : 2 * PAIRS] for part in ordered)
    two = tuple(part[:, 2 * PAIRS :] for part in ordered)
    return made, one, two, coins[:, 1, 2 * PAIRS :]


def _turned(sides: Tensor, where: Tensor) -> Tensor:
    return torch.where(where[..., None], sides.flip(-1), sides)


def fit(world: World, pairs: Pairs, arm: Arm) -> Tensor:
    prompt, answer = pairs
    reference = torch.full((prompt[..., 0].numel(),), -np.log(choices.ANSWERS), dtype=torch.float64)

    def view_of(weights: Tensor) -> PairLogps:
        log_policy = world.log_policy(weights, 0)
        sides = (choices.at(log_policy, prompt[..., k], answer[..., k]).flatten() for k in (0, 1))
        return pair_view(*sides, reference, reference)

    return learn(world.start, view_of, arm)


def both(one: Pairs, two: Pairs) -> Pairs:
    return torch.cat([one[0][:, :PAIRS], two[0]], 1), torch.cat([one[1][:, :PAIRS], two[1]], 1)


def few(one: Pairs) -> Pairs:
    return one[0][:, :PAIRS], one[1][:, :PAIRS]


def claims(conditional: Floats, joint: Floats) -> list[Claim]:
    return [
        exceeds(
            "value less KL, 300 joint pairs beside 300 conditional ones less the latter alone", joint - conditional, 0.0
        )
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's joint labels are a fair coin's. Beside: as many pairs, all conditional."""
    made, one, two, coins = world(seeds)
    shuffled = tuple(_turned(part, coins < 0.5) for part in two)
    conditional, joint, lost, budget = (
        made.regularised(fit(made, pairs, arm), BETA)
        for pairs, arm in (
            (few(one), CONDITIONAL),
            (both(one, two), JOINT),
            (both(one, shuffled), JOINT),
            (one, CONDITIONAL),
        )
    )
    beside = {"300 conditional": conditional, "300 and 300 joint": joint, "600 conditional": budget}
    beside |= {"300 and 300 joint less 600 conditional": joint - budget}
    beside |= {"300 and 300 joint less the same with a coin's labels": joint - lost}
    return Found(
        claims(conditional, joint),
        claims(conditional, lost),
        {f"value less KL, {name}": interval(found) for name, found in beside.items()},
    )
