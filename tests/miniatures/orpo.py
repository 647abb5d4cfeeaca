"""ORPO (arXiv 2403.07691), first phase of row 106, in miniature: imitation alone raises what was rejected as well.

Comparisons of a log-linear policy's answers. The rejected answers share features with the chosen ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from tests.miniatures import choices
from tests.miniatures.choices import Pairs, World
from tests.miniatures.fitting import Arm
from tests.miniatures.paired import Claim, Found, exceeds, interval

ROW, PAIRS = 106, 600
#: What every answer that is ever compared has in common, and the others have not.
COMMON = 2.0

#: `python -m tests.miniatures.tune orpo`: greatest mean value on seeds 1000 to 1007.
SFT = Arm("sft", lr=0.01, steps=150)
ORPO = Arm("orpo", {"weight": 1.0}, lr=0.01, steps=150)


def world(seeds: Sequence[int]) -> tuple[World, Pairs]:
    """Only the first half of a prompt's answers is ever compared, and shares a feature that no one is judged by."""
    made = choices.world(ROW, seeds)
    features, taste = made.features.clone(), made.taste.clone()
    features[..., 0] = 0
    features[..., : choices.ANSWERS // 2, 0] = COMMON
    taste[:, 0] = 0
    made = World(features, taste)
    half = choices.ANSWERS // 2
    prompt, first, step, coins = choices.drawn(
        ROW,
        seeds,
        lambda rng: (
            rng.integers(choices.PROMPTS, size=PAIRS),
            rng.integers(half, size=PAIRS),
            rng.integers(1, half, size=PAIRS),
            rng.random(PAIRS),
        ),
    )
    second = (first + step) % half
    return made, choices.compared(made, prompt, first, second, coins)


def claims(world: World, pairs: Pairs, imitated: Tensor, odds: Tensor) -> list[Claim]:
    prompt, _, rejected = pairs
    fell = [choices.at(world.log_policy(w, 0), prompt, rejected).mean(1).numpy() for w in (imitated, odds)]
    return [
        exceeds("log p(rejected), SFT less ORPO", fell[0] - fell[1], 0.1),
        exceeds("value, ORPO less SFT", world.value(odds) - world.value(imitated), 0.05),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's odds weigh nothing."""
    made, pairs = world(seeds)
    imitated, odds, control = (
        choices.fit_pairs(made, pairs, arm) for arm in (SFT, ORPO, replace(ORPO, params={"weight": 0.0}))
    )
    return Found(
        claims(made, pairs, imitated, odds),
        claims(made, pairs, imitated, control),
        {"value, SFT": interval(made.value(imitated)), "value, ORPO": interval(made.value(odds))},
    )
