"""Row 108, VPO (arXiv 2405.19320) offline in miniature: pessimism narrows the spread of what few pairs can lead to.

Sixty arms, eighty pairs of the uniform reference's: an arm that won its only pair looks as good as any. Against DPO at
its best rate, which stops early, the claim does not hold; against DPO trained out at VPO's rate, shown beside, the
spread narrows. The online half of the paper, optimism, is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

ARMS, PAIRS, SCALE, BETA = 60, 80, 5.0, 0.1

#: `python -m tests.miniatures.tune vpo`: greatest mean value on seeds 1000 to 1007; beta and alpha are the claim's.
DPO = Arm("dpo", {"beta": BETA}, lr=0.03, steps=400)
VPO = Arm("vpo", {"beta": BETA, "alpha": 0.1}, lr=0.3, steps=400)
#: As long and as fast as VPO, past where DPO is best.
TRAINED_OUT = replace(DPO, lr=VPO.lr)


def world(seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """rewards (S, ARMS) in [0, 1]; pairs (S, PAIRS, 2), the preferred arm first."""
    rewards, pairs = [], []
    for seed in seeds:
        rng = np.random.default_rng([108, seed])
        reward = rng.random(ARMS)
        first = rng.integers(ARMS, size=PAIRS)
        second = (first + rng.integers(1, ARMS, size=PAIRS)) % ARMS
        liked = rng.random(PAIRS) < 1 / (1 + np.exp(-SCALE * (reward[first] - reward[second])))
        rewards.append(reward)
        pairs.append(np.stack([np.where(liked, first, second), np.where(liked, second, first)], -1))
    return torch.from_numpy(np.stack(rewards)), torch.from_numpy(np.stack(pairs))


def value(rewards: Tensor, logits: Tensor) -> Floats:
    """(S,) expected reward."""
    return (logits.softmax(-1) * rewards).sum(-1).numpy()


def fit(rewards: Tensor, pairs: Tensor, arm: Arm) -> Tensor:
    sides = pairs.unbind(-1)
    reference = torch.full((pairs[..., 0].numel(),), -np.log(ARMS), dtype=torch.float64)

    def view_of(logits: Tensor) -> PairLogps:
        now = logits.log_softmax(-1)
        return pair_view(*(now.gather(1, side).flatten() for side in sides), reference, reference)

    return learn(torch.zeros_like(rewards), view_of, arm)


def narrowed(plain: Floats, pessimist: Floats) -> Floats:
    """(S,) how much nearer a seed's value stands to the median of its arm."""
    apart = [np.abs(found - np.median(found)) for found in (plain, pessimist)]
    return apart[0] - apart[1]


def claims(plain: Floats, pessimist: Floats) -> list[Claim]:
    return [
        exceeds("distance of a value from the median, taken away", narrowed(plain, pessimist), 0.0),
        exceeds("value, not lower by two points", pessimist - plain, -0.02),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control is told that the value weighs nothing."""
    rewards, pairs = world(seeds)
    blind = replace(VPO, params={"beta": BETA, "alpha": 0.0}, lr=DPO.lr)
    arms = (DPO, VPO, blind, TRAINED_OUT)
    plain, pessimist, control, out = (value(rewards, fit(rewards, pairs, arm)) for arm in arms)
    beside = {"value, DPO": plain, "value, VPO": pessimist, "value, DPO trained out": out}
    beside |= {"distance taken away, of DPO trained out": narrowed(out, pessimist)}
    return Found(
        claims(plain, pessimist),
        claims(plain, control),
        {name: interval(found) for name, found in beside.items()},
    )
