"""A log-linear policy chooses among K answers to X prompts; a hidden taste says how good each is. For several rows.

The reference is uniform. Half of the prompts are learnt from, the other half is what a policy is measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Floats

FEATURES, ANSWERS, PROMPTS = 12, 8, 100
REWARD_NORM = 2.0

#: prompts, preferred answers, other answers (S, N).
Pairs = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class World:
    """S seeds. features (S, 2, X, K, D): of prompts learnt from and of others. taste (S, D)."""

    features: Tensor
    taste: Tensor

    def log_policy(self, weights: Tensor, held: int) -> Tensor:
        """(S, X, K) log-probabilities of the answers."""
        return torch.einsum("sxkd,sd->sxk", self.features[:, held], weights).log_softmax(-1)

    def reward(self, held: int) -> Tensor:
        """(S, X, K)"""
        return torch.einsum("sxkd,sd->sxk", self.features[:, held], self.taste)

    @property
    def start(self) -> Tensor:
        """(S, D) the reference's weights."""
        return torch.zeros_like(self.taste)

    def value(self, weights: Tensor) -> Floats:
        """(S,) mean hidden reward of the sampled policy on prompts not learnt from; the reference's is near zero."""
        return (self.log_policy(weights, 1).exp() * self.reward(1)).sum(-1).mean(-1).numpy()

    def regularised(self, weights: Tensor, beta: float) -> Floats:
        """(S,) value less beta times KL to the reference: what a fixed beta asks for."""
        log_policy = self.log_policy(weights, 1)
        divergence = (log_policy.exp() * (log_policy + np.log(ANSWERS))).sum(-1).mean(-1)
        return self.value(weights) - beta * divergence.numpy()


def world(row: int, seeds: Sequence[int], size: int = FEATURES, norm: float = REWARD_NORM) -> World:
    """row: of the research system, so that no two share their draws. size: features of an answer. norm: of
    the taste, so how far the rewards of answers lie apart."""
    features, tastes = [], []
    for seed in seeds:
        rng = np.random.default_rng([row, seed])
        features.append(rng.normal(size=(2, PROMPTS, ANSWERS, size)))
        taste = rng.normal(size=size)
        tastes.append(taste * norm / np.linalg.norm(taste))
    return World(torch.from_numpy(np.stack(features)), torch.from_numpy(np.stack(tastes)))


def drawn(row: int, seeds: Sequence[int], make: object) -> tuple[Tensor, ...]:
    """What `make(rng)` draws for every seed, stacked; a generator of its own for each, apart from the world's."""
    made = [make(np.random.default_rng([row, seed, 1])) for seed in seeds]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))


def at(log_policy: Tensor, prompt: Tensor, answer: Tensor) -> Tensor:
    """(S, N) log-probabilities of these answers to these prompts."""
    return log_policy.flatten(1).gather(1, prompt * log_policy.shape[-1] + answer)


def preferred(gap: Tensor, coins: Tensor) -> Tensor:
    """Bradley-Terry labels: whether the first is preferred, from its lead in reward and a uniform coin."""
    return coins < torch.sigmoid(gap)


def compared(world: World, prompt: Tensor, first: Tensor, second: Tensor, coins: Tensor) -> Pairs:
    """Two answers to each prompt (S, N), with the preferred one first."""
    gap = at(world.reward(0), prompt, first) - at(world.reward(0), prompt, second)
    liked = preferred(gap, coins)
    return prompt, torch.where(liked, first, second), torch.where(liked, second, first)


def fit_pairs(world: World, pairs: Pairs, arm: Arm) -> Tensor:
    """Weights (S, D) from comparisons."""
    prompt, chosen, rejected = pairs
    reference = torch.full((prompt.numel(),), -np.log(ANSWERS), dtype=torch.float64)

    def view_of(weights: Tensor) -> PairLogps:
        log_policy = world.log_policy(weights, 0)
        sides = (at(log_policy, prompt, side).flatten() for side in (chosen, rejected))
        return pair_view(*sides, reference, reference)

    return learn(world.start, view_of, arm)
