"""Row 40, rDPO (arXiv 2403.00409) in miniature: a log-linear policy learns from labels of which some are flipped.

Symmetric flips shrink the margin, not the direction: pair accuracy hardly moves, and nothing is claimed of it. What the
unbiased loss restores is scale, hence at a fixed beta the value of the sampled policy and its probabilities.
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

EPS = (0.2, 0.3, 0.4)
FEATURES, ACTIONS, PROMPTS, PAIRS = 16, 8, 200, 4000
REWARD_NORM = 2.0
BETA = 1.0

#: `python -m tests.miniatures.tune rdpo`: the best mean value of policy less beta times KL, on seeds 1000 to 1007.
CLEAN = Arm("dpo", {"beta": BETA}, lr=0.1)
DPO = Arm("dpo", {"beta": BETA}, lr=0.1)
RDPO = Arm("rdpo", {"beta": BETA}, lr=0.01)


@dataclass(frozen=True)
class World:
    """S seeds. features (S, 2, X, K, D): of prompts learnt from and of others. taste (S, D). pairs (S, N, 3): prompt,
    preferred action, other action, by a Bradley-Terry label. coins (S, N): uniform; a label is flipped below eps."""

    features: Tensor
    taste: Tensor
    pairs: Tensor
    coins: Tensor

    def log_policy(self, weights: Tensor, held: int) -> Tensor:
        """(S, X, K) log-probabilities of the actions."""
        return torch.einsum("sxkd,sd->sxk", self.features[:, held], weights).log_softmax(-1)

    @property
    def reward(self) -> Tensor:
        """(S, X, K) on prompts not learnt from."""
        return torch.einsum("sxkd,sd->sxk", self.features[:, 1], self.taste)


def world(seeds: Sequence[int]) -> World:
    made = [_one(np.random.default_rng([40, seed])) for seed in seeds]
    return World(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))


def _one(rng: np.random.Generator) -> tuple[Floats, Floats, np.ndarray, Floats]:
    features = rng.normal(size=(2, PROMPTS, ACTIONS, FEATURES))
    taste = rng.normal(size=FEATURES)
    taste *= REWARD_NORM / np.linalg.norm(taste)
    prompt = rng.integers(PROMPTS, size=PAIRS)
    first = rng.integers(ACTIONS, size=PAIRS)
    second = (first + rng.integers(1, ACTIONS, size=PAIRS)) % ACTIONS
    gap = (features[0, prompt, first] - features[0, prompt, second]) @ taste
    liked = rng.random(PAIRS) < 1 / (1 + np.exp(-gap))
    pairs = np.stack([prompt, np.where(liked, first, second), np.where(liked, second, first)], -1)
    return features, taste, pairs, rng.random(PAIRS)


def fit(world: World, arm: Arm, flipped: float, stated: float) -> Tensor:
    """Weights (S, D) from the pairs with a share `flipped` turned round; every pair states the flip rate `stated`."""
    prompt, first, second = world.pairs.unbind(-1)
    turned = world.coins < flipped
    chosen, rejected = torch.where(turned, second, first), torch.where(turned, first, second)
    at_chosen, at_rejected = (prompt * ACTIONS + side for side in (chosen, rejected))
    reference = torch.full((world.pairs[..., 0].numel(),), -np.log(ACTIONS), dtype=torch.float64)

    def view_of(weights: Tensor) -> PairLogps:
        flat = world.log_policy(weights, 0).flatten(1)
        sides = (flat.gather(1, at).flatten() for at in (at_chosen, at_rejected))
        view = pair_view(*sides, reference, reference)
        return replace(view, eps=torch.full_like(view.eps, stated))

    return learn(torch.zeros_like(world.taste), view_of, arm)


def value(world: World, weights: Tensor) -> Floats:
    """(S,) mean hidden reward of the sampled policy on prompts not learnt from."""
    policy = world.log_policy(weights, 1).exp()
    return (policy * world.reward).sum(-1).mean(-1).numpy()


def regularised(world: World, weights: Tensor) -> Floats:
    """(S,) value less beta times KL to the reference: what a fixed beta asks for."""
    log_policy = world.log_policy(weights, 1)
    divergence = (log_policy.exp() * (log_policy + np.log(ACTIONS))).sum(-1).mean(-1)
    return value(world, weights) - BETA * divergence.numpy()


def probability_error(world: World, weights: Tensor) -> Floats:
    """(S,) mean |P(a before b) - truth| over all pairs of actions, P by the policy's implicit reward."""
    implied = BETA * world.log_policy(weights, 1)
    said, true = (torch.sigmoid(r[..., :, None] - r[..., None, :]) for r in (implied, world.reward))
    off = ~torch.eye(ACTIONS, dtype=torch.bool)
    return (said - true).abs()[..., off].mean((-1, -2)).numpy()


def pair_accuracy(world: World, weights: Tensor) -> Floats:
    """(S,) share of pairs of actions ordered as the reward orders them; shown beside, claimed of nothing."""
    said, true = (r[..., :, None] - r[..., None, :] for r in (world.log_policy(weights, 1), world.reward))
    off = ~torch.eye(ACTIONS, dtype=torch.bool)
    return (said.sign() == true.sign()).double()[..., off].mean((-1, -2)).numpy()


def claims(world: World, eps: float, clean: Tensor, plain: Tensor, robust: Tensor) -> list[Claim]:
    """Of one flip rate: the value gap to the policy of clean labels closed by half, value and probabilities better."""
    goal, before, after = (value(world, weights) for weights in (clean, plain, robust))
    # Going past the goal is a gap too.
    closed = 1 - np.abs(goal - after) / np.abs(goal - before)
    error = probability_error(world, plain) - probability_error(world, robust)
    return [
        exceeds(f"eps {eps}: share of the value gap closed", closed, 0.5),
        exceeds(f"eps {eps}: value gained", after - before, 0.0),
        exceeds(f"eps {eps}: probability error taken away", error, 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """All flip rates. The control is rDPO told that no label is flipped."""
    made = world(seeds)
    clean = fit(made, CLEAN, 0.0, 0.0)
    found, control, beside = [], [], {}
    for eps in EPS:
        plain, robust, told_none = (
            fit(made, arm, eps, stated) for arm, stated in ((DPO, eps), (RDPO, eps), (RDPO, 0.0))
        )
        found += claims(made, eps, clean, plain, robust)
        control += claims(made, eps, clean, plain, told_none)
        for name, weights in (("DPO", plain), ("rDPO", robust)):
            beside[f"eps {eps}: value, {name}"] = interval(value(made, weights))
            beside[f"eps {eps}: pair accuracy, {name}"] = interval(pair_accuracy(made, weights))
    return Found(found, control, beside)
