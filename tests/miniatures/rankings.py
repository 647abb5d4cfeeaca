"""Row 11, preference learning does not learn rankings (arXiv 2405.19534) in miniature.

A log-linear policy starts from a reference that ranks 40 % of the pairs wrongly and learns from ten votes a pair. What
raters say depends only in part on what the policy can see. Measured with the gate's own ranking accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.evaluate.ranking_accuracy import Scored, by_difficulty, difficulty, idealised
from rejoinder.training.objectives import OBJECTIVES
from rejoinder.training.views import PairLogps
from scipy import stats
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

PAIRS, FEW_PAIRS, ANSWERS, FEATURES, VOTES = 600, 100, 4, 32, 10
WRONG_AT_FIRST, SPREAD = 0.4, 10.0
SEEN = 0.5
BETA = 0.1
PARTS = 10

#: `python -m tests.miniatures.tune rankings`: trained out at every lr; the claim fixes beta.
DPO = Arm("dpo", {"beta": BETA}, lr=0.1, steps=400)
SFT = Arm("sft", {}, lr=0.1, steps=400)
TRAINED_OUT = Arm("dpo", {"beta": BETA}, lr=0.3, steps=800)


@dataclass(frozen=True)
class World:
    """S seeds, N prompts with K answers; answers 0 and 1 are the pair, 0 the one that more raters prefer.

    reference (S, N, K) log-probabilities; features (S, N, K, D); share (S, N) of raters preferring answer 0, above one
    half; votes (S, N) share of VOTES for it.
    """

    reference: Tensor
    features: Tensor
    share: Floats
    votes: Tensor

    def log_policy(self, weights: Tensor) -> Tensor:
        return (self.reference + torch.einsum("snkd,sd->snk", self.features, weights)).log_softmax(-1)


def world(seeds: Sequence[int], exact: bool = False) -> World:
    """exact: fewer pairs, a weight for each, votes without chance: nothing hinders such a policy from ranking."""
    pairs = FEW_PAIRS if exact else PAIRS
    made = [_one(np.random.default_rng([11, seed]), pairs, exact) for seed in seeds]
    reference, features, share, votes = (np.stack(part) for part in zip(*made, strict=True))
    return World(*map(torch.from_numpy, (reference, features)), share, torch.from_numpy(votes))


def _one(rng: np.random.Generator, pairs: int, exact: bool) -> tuple[Floats, Floats, Floats, Floats]:
    features = rng.normal(size=(pairs, ANSWERS, FEATURES))
    taste = rng.normal(size=FEATURES)
    seen = (features[:, 0] - features[:, 1]) @ (taste / np.linalg.norm(taste)) / np.sqrt(2)
    margin = np.sqrt(SEEN) * seen + np.sqrt(1 - SEEN) * rng.normal(size=pairs)
    swap = margin < 0
    features[swap, :2] = features[swap, 1::-1]
    share = 1 / (1 + np.exp(-np.abs(margin)))
    wrong_by = SPREAD * (rng.normal(size=pairs) + stats.norm.ppf(WRONG_AT_FIRST))
    logits = SPREAD * rng.normal(size=(pairs, ANSWERS))
    logits[:, 1] = logits[:, 0] + wrong_by
    reference = logits - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
    reference -= logits.max(-1, keepdims=True)
    votes = share if exact else rng.binomial(VOTES, share) / VOTES
    if exact:
        features = np.zeros((pairs, ANSWERS, pairs))
        features[:, 0] = np.eye(pairs)
    return reference, features, share, votes


def view_of(world: World, weights: Tensor) -> PairLogps:
    """Every pair twice, seed by seed: as voted for and as voted against, weighted by the votes."""
    now = world.log_policy(weights)
    first, second = (torch.cat([now[..., a], now[..., b]], 1).flatten() for a, b in ((0, 1), (1, 0)))
    ref = world.reference
    refs = (torch.cat([ref[..., a], ref[..., b]], 1).flatten() for a, b in ((0, 1), (1, 0)))
    weight = torch.cat([world.votes, 1 - world.votes], 1).flatten()
    return replace(pair_view(first, second, *refs), weight=weight)


def fit(world: World, arm: Arm) -> Tensor:
    start = torch.zeros(world.features.shape[0], world.features.shape[-1], dtype=torch.float64)
    return learn(start, lambda weights: view_of(world, weights), arm)


def loss(world: World, weights: Tensor, arm: Arm) -> float:
    """The arm's own training loss, all seeds together."""
    row, view = OBJECTIVES[arm.objective], view_of(world, weights)
    losses = row.make(view, row.with_params(arm.params)).per_example
    return float((losses * view.weight).sum() / view.weight.sum())


@dataclass(frozen=True)
class Ranked:
    """Of each seed (S,): ranking accuracy before, after and idealised; Spearman of difficulty and share turned right;
    share of pairs where the loss threshold says whether the ranking is right."""

    before: Floats
    after: Floats
    idealised: Floats
    spearman: Floats
    foretold: Floats


def ranked(world: World, weights: Tensor, shuffled: bool = False) -> Ranked:
    """shuffled: the control in which pairs are given one another's difficulty."""
    rows = [_ranked(world, weights, i, shuffled) for i in range(len(weights))]
    return Ranked(*np.array(rows).T)


def _ranked(world: World, weights: Tensor, i: int, shuffled: bool) -> tuple[float, ...]:
    now = world.log_policy(weights)[i]
    before, after = (_scored(t[:, 0], t[:, 1]) for t in (world.reference[i], now))
    order = np.random.default_rng([111, i]).permutation(len(now)) if shuffled else np.arange(len(now))
    told = _scored(*(torch.from_numpy(side[order]) for side in (before.chosen, before.rejected)))
    row = OBJECTIVES["dpo"]
    view = pair_view(now[:, 0], now[:, 1], world.reference[i, :, 0], world.reference[i, :, 1])
    losses = row.make(view, row.with_params({"beta": BETA})).per_example.numpy()
    threshold = np.logaddexp(0, -BETA * difficulty(told))
    right = after.right(False)
    wrong_at_first = difficulty(before) > 0
    parts = by_difficulty(_kept(told, wrong_at_first), _kept(after, wrong_at_first), PARTS)
    turned = stats.spearmanr(range(len(parts)), [part["after"] for part in parts]).statistic
    return (
        before.right(False).mean(),
        right.mean(),
        idealised(before, world.share[i], BETA).mean(),
        turned,
        np.mean((losses < threshold) == (right == 1)),
    )


def _scored(chosen: Tensor, rejected: Tensor) -> Scored:
    names, ones = tuple(map(str, range(len(chosen)))), np.ones(len(chosen))
    return Scored(names, names, chosen.numpy(), rejected.numpy(), ones, ones)


def _kept(scored: Scored, keep: np.ndarray) -> Scored:
    return _scored(torch.from_numpy(scored.chosen[keep]), torch.from_numpy(scored.rejected[keep]))


def claims(found: Ranked) -> list[Claim]:
    return [
        exceeds("alignment gap: idealised less reached ranking accuracy", found.idealised - found.after, 0.0),
        exceeds("the harder, the fewer turned right: minus Spearman", -found.spearman, 0.8),
        exceeds("pairs whose ranking the loss threshold foretells", found.foretold, 0.9999),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """Two controls: where nothing hinders the policy the gap must vanish, and another pair's difficulty foretells
    nothing. SFT's gap stands beside."""
    made, free = world(seeds), world(seeds, exact=True)
    weights, imitated = fit(made, DPO), fit(made, SFT)
    found, sft = ranked(made, weights), ranked(made, imitated)
    gap_closed, *_ = claims(ranked(free, fit(free, TRAINED_OUT)))
    _, *foretold = claims(ranked(made, weights, shuffled=True))
    beside = {
        "ranking accuracy before": found.before,
        "after DPO": found.after,
        "after SFT": sft.after,
        "idealised": found.idealised,
        "SFT's gap less DPO's": found.after - sft.after,
    }
    return Found(claims(found), [gap_closed, *foretold], {name: interval(values) for name, values in beside.items()})
