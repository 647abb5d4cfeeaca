"""Row 106, PRefLexOR (arXiv 2410.12375) in miniature: where answers alone are compared, thoughts stay free.

A tabular policy thinks one of four thoughts and answers. After a good thought the right answer is what it says;
after a bad one it can be any and nothing is to be learnt. Rejected answers come of good thoughts in half of the pairs,
chosen ones, put right by others, less often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

THOUGHTS, GOOD, ANSWERS, PAIRS = 4, 2, 6, 300
GOOD_CHOSEN, GOOD_REJECTED = 0.3, 0.5
#: How often a policy does at first what its good thought says.
FOLLOWED = 0.5
#: What a pair's mask counts of (thought, answer).
BOTH, ANSWER, THOUGHT = (True, True), (False, True), (True, False)

#: `python -m tests.miniatures.tune thoughts`: greatest mean accuracy on seeds 1000 to 1007.
MASKED = Arm("exo", {"beta": 0.3}, lr=0.3, steps=100)
UNMASKED = Arm("exo", {"beta": 0.3}, lr=0.3, steps=100)


@dataclass(frozen=True)
class Pairs:
    """tokens (S, N, 2, 2): side, then thought and answer; answer 0 is what a good thought says."""

    tokens: Tensor


def reference() -> Tensor:
    """(THOUGHTS + THOUGHTS * ANSWERS,) logits: of the thoughts, then of the answers after each."""
    answers = np.zeros((THOUGHTS, ANSWERS))
    answers[:GOOD, 0] = np.log(FOLLOWED / (1 - FOLLOWED) * (ANSWERS - 1))
    return torch.from_numpy(np.concatenate([np.zeros(THOUGHTS), answers.flatten()]))


def world(seeds: Sequence[int]) -> Pairs:
    return Pairs(torch.from_numpy(np.stack([_one(np.random.default_rng([1061, seed])) for seed in seeds])))


def _one(rng: np.random.Generator) -> np.ndarray:
    share = np.array([GOOD_CHOSEN, GOOD_REJECTED])
    bad = rng.random((PAIRS, 2)) > share
    thought = rng.integers(GOOD, size=(PAIRS, 2)) + GOOD * bad
    followed = np.stack([np.zeros(PAIRS, dtype=int), rng.integers(1, ANSWERS, size=PAIRS)], -1)
    answer = np.where(bad, rng.integers(ANSWERS, size=(PAIRS, 2)), followed)
    return np.stack([thought, answer], -1)


def fit(pairs: Pairs, arm: Arm, counted: tuple[bool, bool]) -> Tensor:
    """(S, …) logits after training on the tokens that are counted."""
    seeds, count = pairs.tokens.shape[:2]
    start = reference().expand(seeds, -1)
    mask = torch.tensor(counted).expand(seeds * count, 2)
    with torch.no_grad():
        refs = _token_logps(start, pairs)
    ones = torch.ones(seeds * count, dtype=torch.float64)

    def view_of(logits: Tensor) -> PairLogps:
        return PairLogps(*_token_logps(logits, pairs), mask, mask, *refs, ones, 0 * ones, ones * torch.nan)

    return learn(start, view_of, arm)


def _parts(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(S, Z) log p(thought) and (S, Z, A) log p(answer | thought)."""
    thoughts, answers = logits[:, :THOUGHTS], logits[:, THOUGHTS:].view(-1, THOUGHTS, ANSWERS)
    return thoughts.log_softmax(-1), answers.log_softmax(-1)


def _token_logps(logits: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """(S * N, 2) of either side."""
    thoughts, answers = _parts(logits)
    thought, answer = pairs.tokens.flatten(1, 2).unbind(-1)
    first = thoughts.gather(1, thought)
    second = answers.flatten(1).gather(1, thought * ANSWERS + answer)
    both = torch.stack([first, second], -1).view(*pairs.tokens.shape)
    return both[:, :, 0].flatten(0, 1), both[:, :, 1].flatten(0, 1)


def good_thoughts(logits: Tensor) -> Floats:
    """(S,) share of thoughts that help."""
    return _parts(logits)[0].exp()[:, :GOOD].sum(-1).numpy()


def accuracy(logits: Tensor) -> Floats:
    """(S,) probability of the right answer."""
    thoughts, answers = (part.exp() for part in _parts(logits))
    right = torch.cat([answers[:, :GOOD, 0], torch.full_like(thoughts[:, GOOD:], 1 / ANSWERS)], -1)
    return (thoughts * right).sum(-1).numpy()


def claims(unmasked: Tensor, masked: Tensor) -> list[Claim]:
    return [
        exceeds("probability of the right answer gained", accuracy(masked) - accuracy(unmasked), 0.03),
        exceeds("share of good thoughts kept", good_thoughts(masked) - good_thoughts(unmasked), 0.0),
    ]


def measure(seeds: Sequence[int]) -> Found:
    """The control's mask hides the answers and counts the thoughts."""
    pairs = world(seeds)
    unmasked, masked, turned = fit(pairs, UNMASKED, BOTH), fit(pairs, MASKED, ANSWER), fit(pairs, MASKED, THOUGHT)
    beside = {"accuracy, all tokens": unmasked, "accuracy, answers alone": masked}
    return Found(
        claims(unmasked, masked),
        claims(unmasked, turned),
        {name: interval(accuracy(logits)) for name, logits in beside.items()},
    )
