"""A hundred answers to every question, one reward: the didactic bandit of arXiv 2404.14367, for two rows of papers.

The reference likes answers around 20; the reward sits at 70 (misaligned: what is good is hardly ever sampled) or at 20
(aligned). Pairs are made by the table's `best_worst` builder: two answers of a policy, ordered by a scorer whose noise
makes its choice a Bradley-Terry label.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from rejoinder.core.types import Feedback, Interaction, Message, Role, Sampling
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.pairs.context import Context, Draft, Likelihood, Sampled
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn, pair_view
from tests.miniatures.paired import Floats

ANSWERS = 100
PLACES = np.arange(ANSWERS, dtype=np.float64)
REFERENCE = np.exp(-(((PLACES - 20) / 25) ** 2))
REFERENCE /= REFERENCE.sum()
LABEL_SCALE = 8.0
MISALIGNED, ALIGNED = 70, 20
ROUNDS = 10
MOST_ASKED = 4

Change = Callable[[PairLogps], PairLogps]


def reward(centre: int) -> Floats:
    return np.exp(-(((PLACES - centre) / 10) ** 2))


class Policy:
    """The sampler port of a tabular policy. owns: its generator."""

    def __init__(self, probabilities: Floats, rng: np.random.Generator) -> None:
        self._steps = np.cumsum(probabilities)
        self._steps[-1] = 1.0
        self._rng = rng

    def sample(self, messages: Sequence[Message], sampling: Sampling, n: int, version: str) -> Sequence[Sampled]:
        return [Sampled(str(a), 0.0, 1) for a in np.searchsorted(self._steps, self._rng.random(n), side="right")]

    def likelihood(
        self, messages: Sequence[Message], continuations: Sequence[str], version: str
    ) -> Sequence[Likelihood]:
        shares = np.diff(self._steps, prepend=0.0)
        return [Likelihood(float(np.log(shares[int(text)])), 1) for text in continuations]


class Judge:
    """The scorer port: reward with Gumbel noise, so that the greater score is a Bradley-Terry choice. owns: its rng."""

    def __init__(self, values: Floats, rng: np.random.Generator) -> None:
        self._values = LABEL_SCALE * values
        self._rng = rng

    def score(self, messages: Sequence[Message], responses: Sequence[str]) -> Sequence[float]:
        return [self._values[int(text)] + self._rng.gumbel() for text in responses]


def labelled(probabilities: Floats, values: Floats, count: int, seed: int, part: int) -> np.ndarray:
    """(n, 2) chosen and rejected answers of one policy, n = `count` or fewer: two samples that are the same answer make
    no pair, and a policy that says hardly anything else is asked MOST_ASKED questions a pair and no more."""
    rng = np.random.default_rng([103, seed, part])
    context = Context("bandit", "now", part, seed, Policy(probabilities, rng), Judge(values, rng), workers=1)
    row = BUILDERS["best_worst"]
    params = row.params(n=2, min_margin=0.0)
    found: list[tuple[int, int]] = []
    for asked in range(MOST_ASKED):
        missing = count - len(found)
        questions = [_question(asked * count + i) for i in range(missing)]
        drafts = (made for made in row.make(questions, params, context) if isinstance(made, Draft))
        found += [(int(d.preference.chosen), int(d.preference.rejected)) for d in drafts]
    return np.array(found).reshape(-1, 2)


@cache
def _question(number: int) -> Evidence:
    words = (Message(Role.USER, f"question {number}"),)
    return Evidence(str(number), "t", Feedback(), Interaction(messages=words))


@dataclass(frozen=True)
class Plan:
    """centre of the reward; pairs in all; rounds in which they come. on_policy: from the policy as it stands, else
    from the reference. change: what is done to the view before the loss sees it."""

    arm: Arm
    centre: int
    pairs: int
    rounds: int = 1
    on_policy: bool = False
    change: Change = lambda view: view


def run(plan: Plan, seeds: Sequence[int]) -> Floats:
    """(S,) expected reward of the policy learnt by one loss from `plan.pairs` pairs, the reference fixed throughout.

    Pairs of earlier rounds are kept; the optimiser's steps are shared among the rounds, so that every plan has as many.
    """
    log_reference = torch.from_numpy(np.log(REFERENCE)).expand(len(seeds), -1)
    values = reward(plan.centre)
    share = plan.pairs // plan.rounds
    logits = log_reference.clone()
    pairs, weight = torch.zeros(len(seeds), 0, 2, dtype=torch.long), torch.zeros(len(seeds), 0, dtype=torch.float64)
    arm = replace(plan.arm, steps=plan.arm.steps // plan.rounds)
    for part in range(plan.rounds):
        from_whom = logits.softmax(-1).numpy() if plan.on_policy else np.tile(REFERENCE, (len(seeds), 1))
        fresh, counts = np.zeros((len(seeds), share, 2), dtype=np.int64), np.zeros((len(seeds), share))
        for i, seed in enumerate(seeds):
            found = labelled(from_whom[i], values, share, seed, part)
            fresh[i, : len(found)], counts[i, : len(found)] = found, 1
        pairs, weight = torch.cat([pairs, torch.from_numpy(fresh)], 1), torch.cat([weight, torch.from_numpy(counts)], 1)
        logits = learn(logits, _viewer(pairs, weight, log_reference, plan.change), arm)
    return (logits.softmax(-1) @ torch.from_numpy(values)).numpy()


def _viewer(pairs: Tensor, weight: Tensor, log_reference: Tensor, change: Change) -> Callable[[Tensor], PairLogps]:
    sides = pairs.unbind(-1)
    refs = [log_reference.gather(1, side).flatten() for side in sides]

    def view_of(logits: Tensor) -> PairLogps:
        now = logits.log_softmax(-1)
        view = pair_view(*(now.gather(1, side).flatten() for side in sides), *refs)
        return change(replace(view, weight=weight.flatten()))

    return view_of
