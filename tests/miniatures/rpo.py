"""Row 100, RPO (arXiv 2504.18080) in miniature: asked to explain, a policy trained by DPO drifts to what nobody said.

To every question there is a right answer, a wrong one, and others that go further in the direction from wrong to right.
Answering directly, the policy has the two to choose from; explaining, all of them. Pairs are of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

QUESTIONS, FEATURES, ANSWERS = 100, 16, 6
SAID = 2
#: How much likelier the reference finds one of the two that are said than one of the others, nats.
FLUENT = 4.0
FURTHER, NOISE = 0.8, 0.4

#: `python -m tests.miniatures.tune rpo`: greatest mean accuracy when asked to explain on seeds 1000 to 1007.
DPO = Arm("dpo", {"beta": 0.1}, lr=0.01, steps=150)
RPO = Arm("rpo", {"beta": 0.1, "alpha": 1.0}, lr=0.03, steps=150)


@dataclass(frozen=True)
class World:
    """features (S, 2, X, K, D): of questions learnt from and of others; answer 0 is right, 1 wrong, the rest unsaid."""

    features: Tensor

    def log_policy(self, weights: Tensor, held: int) -> Tensor:
        """(S, X, K) when asked to explain."""
        fluent = torch.zeros(ANSWERS, dtype=torch.float64)
        fluent[:SAID] = FLUENT
        return (torch.einsum("sxkd,sd->sxk", self.features[:, held], weights) + fluent).log_softmax(-1)

    def direct(self, weights: Tensor) -> Floats:
        """(S,) probability of the right answer where only the two can be given."""
        return self.log_policy(weights, 1)[..., :SAID].softmax(-1)[..., 0].mean(-1).numpy()

    def explained(self, weights: Tensor) -> Floats:
        """(S,) probability of the right answer where anything can."""
        return self.log_policy(weights, 1)[..., 0].exp().mean(-1).numpy()

    def chosen(self, weights: Tensor) -> Floats:
        """(S,) mean log p of the chosen answers learnt from, nats."""
        return self.log_policy(weights, 0)[..., 0].mean(-1).numpy()


def world(seeds: Sequence[int]) -> World:
    made = []
    for seed in seeds:
        rng = np.random.default_rng([100, seed])
        centre = rng.normal(size=(ANSWERS, FEATURES))
        centre[SAID:] += FURTHER * (centre[0] - centre[1])
        made.append(centre + NOISE * rng.normal(size=(2, QUESTIONS, ANSWERS, FEATURES)))
    return World(torch.from_numpy(np.stack(made)))


def start(world: World) -> Tensor:
    return torch.zeros(len(world.features), FEATURES, dtype=torch.float64)


def fit(world: World, arm: Arm) -> Tensor:
    with torch.no_grad():
        reference = world.log_policy(start(world), 0)
    refs = [reference[..., k].flatten() for k in range(SAID)]

    def view_of(weights: Tensor) -> PairLogps:
        log_policy = world.log_policy(weights, 0)
        return pair_view(*(log_policy[..., k].flatten() for k in range(SAID)), *refs)

    return learn(start(world), view_of, arm)


def claims(world: World, plain: Tensor, held: Tensor) -> list[Claim]:
    gap = world.direct(held) - world.explained(held)
    risen = world.chosen(held) - world.chosen(start(world))
    return [
        exceeds("right when asked to explain, gained", world.explained(held) - world.explained(plain), 0.04),
        exceeds("explaining costs less than two points", -gap, -0.02),
        exceeds("log p(chosen) rises, nats", risen, 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's likelihood weighs nothing: it is DPO."""
    made = world(seeds)
    control = replace(DPO, objective="rpo", params={**DPO.params, "alpha": 0.0})
    plain, held, blind = (fit(made, arm) for arm in (DPO, RPO, control))
    modes = {"direct": made.direct, "explained": made.explained, "log p(chosen)": made.chosen}
    fits = {"DPO": plain, "RPO": held}
    beside = {f"{mode}, {name}": measured(w) for name, w in fits.items() for mode, measured in modes.items()}
    return Found(
        claims(made, plain, held),
        claims(made, plain, blind),
        {name: interval(found) for name, found in beside.items()},
    )
