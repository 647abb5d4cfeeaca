"""Row 77, LN-DPO (arXiv 2407.15229) in miniature: quality in the first six tokens, raters who like length besides.

A tabular policy writes six tokens, each right or wrong, then goes on until it ends. Of two answers the better one is
preferred; of two equally good ones the longer in three of four cases. Win rate and length are worked out exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from rejoinder.training.views import PairLogps
from torch import Tensor

from tests.miniatures.fitting import Arm, learn
from tests.miniatures.paired import Claim, Floats, Found, exceeds, interval

QUALITY, LONGEST, WORDS, PAIRS = 6, 24, 8, 1000
RIGHT_AT_FIRST, HAZARD, LONGER_LIKED = 0.3, 0.12, 0.75
END = WORDS
EQUAL = 12
#: Both grids cover the same strengths: a beta per token is a beta per answer times the reference's mean length.
MEAN_LENGTH, BETAS, RATES, STEPS = 13.5, (0.03, 0.1, 0.3, 1.0), (0.03, 0.1), 150
DPO_GRID = tuple(Arm("dpo", {"beta": b}, lr, STEPS) for b in BETAS for lr in RATES)
LN_GRID = tuple(Arm("ln_dpo", {"beta": MEAN_LENGTH * b}, lr, STEPS) for b in BETAS for lr in RATES)

#: `python -m tests.miniatures.tune ln_dpo`: each arm's shortest within two points of its most wins, on seeds 1000 to
#: 1007. LONGEST_LN is the other end of its curve, shown beside: the pairing least kind to the claim.
DPO = Arm("dpo", {"beta": 1.0}, 0.03, STEPS)
LN_DPO = Arm("ln_dpo", {"beta": MEAN_LENGTH * 0.3}, 0.1, STEPS)
LONGEST_LN = Arm("ln_dpo", {"beta": MEAN_LENGTH * 0.03}, 0.03, STEPS)


@dataclass(frozen=True)
class World:
    """S seeds, N pairs. tokens (S, N, 2, T): chosen and rejected, END closes. mask (S, N, 2, T)."""

    tokens: Tensor
    mask: Tensor


def reference() -> Tensor:
    """(T, V + 1) logits: token 0 is the right one in the first six places; no end before them, always one at last."""
    logits = torch.zeros(LONGEST, WORDS + 1, dtype=torch.float64)
    logits[:QUALITY, 0] = np.log(RIGHT_AT_FIRST / (1 - RIGHT_AT_FIRST) * (WORDS - 1))
    logits[:, END] = np.log(HAZARD / (1 - HAZARD) * WORDS)
    return logits


def allowed() -> Tensor:
    """(T, V + 1) additive mask of what may stand where."""
    mask = torch.zeros(LONGEST, WORDS + 1, dtype=torch.float64)
    mask[:QUALITY, END] = -torch.inf
    mask[-1, :END] = -torch.inf
    return mask


def log_policy(logits: Tensor) -> Tensor:
    return (logits + allowed()).log_softmax(-1)


def world(seeds: Sequence[int], equal_lengths: bool = False) -> World:
    """equal_lengths: every answer has EQUAL tokens, the end among them."""
    shares = log_policy(reference()).exp().numpy()
    tokens = np.stack([_one(np.random.default_rng([77, seed]), shares, equal_lengths) for seed in seeds])
    ends = (tokens == END).argmax(-1)
    mask = np.arange(LONGEST) <= ends[..., None]
    return World(torch.from_numpy(tokens), torch.from_numpy(mask))


def _one(rng: np.random.Generator, shares: Floats, equal_lengths: bool) -> np.ndarray:
    tokens = (rng.random((PAIRS, 2, LONGEST, 1)) > np.cumsum(shares, -1)[:, :-1]).sum(-1)
    if equal_lengths:
        tokens[..., QUALITY : EQUAL - 1] %= WORDS
        tokens[..., EQUAL - 1] = END
    length = (tokens == END).argmax(-1)
    quality = (tokens[..., :QUALITY] == 0).sum(-1)
    longer = np.sign(length[:, 0] - length[:, 1])
    liked = rng.random(PAIRS) < np.choose(longer + 1, [1 - LONGER_LIKED, 0.5, LONGER_LIKED])
    first = np.where(quality[:, 0] == quality[:, 1], liked, quality[:, 0] > quality[:, 1])
    return np.where(first[:, None, None], tokens, tokens[:, ::-1])


def fit(world: World, arm: Arm) -> Tensor:
    """(S, T, V + 1) logits after training."""
    seeds, pairs = world.tokens.shape[:2]
    start = reference().expand(seeds, -1, -1)
    sides = [(world.tokens[:, :, i], world.mask[:, :, i]) for i in (0, 1)]
    masks = [mask.reshape(seeds * pairs, -1) for _, mask in sides]
    with torch.no_grad():
        refs = [_token_logps(start, *side) for side in sides]
    ones = torch.ones(seeds * pairs, dtype=torch.float64)

    def view_of(logits: Tensor) -> PairLogps:
        now = [_token_logps(logits, *side) for side in sides]
        return PairLogps(*now, *masks, *refs, weight=ones, margin=0 * ones, eps=ones * torch.nan)

    return learn(start, view_of, arm)


def _token_logps(logits: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """(S * N, T)"""
    seeds, pairs, places = tokens.shape
    table = log_policy(logits).flatten(1)
    at = torch.arange(places) * (WORDS + 1) + tokens
    # What stands behind the end may be impossible; its gradient must not be NaN.
    found = table.gather(1, torch.where(mask, at, tokens.new_tensor(0)).flatten(1))
    return found.view(seeds * pairs, places)


def length(logits: Tensor) -> Floats:
    """(S,) expected tokens of an answer, the end among them."""
    goes_on = 1 - log_policy(logits)[..., END].exp()
    return (1 + goes_on[..., :-1].cumprod(-1).sum(-1)).numpy()


def win_rate(logits: Tensor) -> Floats:
    """(S,) probability that an answer has more right tokens than one of the reference, ties one half."""
    mine, theirs = (_quality(log_policy(l)[..., :QUALITY, 0].exp().numpy()) for l in (logits, reference()[None]))
    below = np.cumsum(theirs, -1) - theirs / 2
    return (mine * below).sum(-1)


def _quality(right: Floats) -> Floats:
    """(S, 7) distribution of the number of right tokens from their probabilities (S, 6)."""
    shares = np.zeros((len(right), QUALITY + 1))
    shares[:, 0] = 1
    for place in range(QUALITY):
        p = right[:, place : place + 1]
        shares = shares * (1 - p) + np.pad(shares[:, :-1], ((0, 0), (1, 0))) * p
    return shares


def claims(plain: Tensor, normalised: Tensor) -> list[Claim]:
    """As many wins within two points either way, and answers shorter by a tenth."""
    wins = win_rate(normalised) - win_rate(plain)
    shorter = 1 - length(normalised) / length(plain)
    return [
        exceeds("wins, not fewer by two points", wins, -0.02),
        exceeds("wins, not more by two points", -wins, -0.02),
        exceeds("share of the length saved", shorter, 0.1),
    ]


def equal_length_fits(seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
    """DPO and LN-DPO where every answer is as long: with beta times that length they are the same loss."""
    made = world(seeds, equal_lengths=True)
    same = replace(DPO, objective="ln_dpo", params={"beta": EQUAL * DPO.params["beta"]})
    return fit(made, DPO), fit(made, same)


def measure(seeds: Sequence[int]) -> Found:
    """The control learns from answers of one length, which leave nothing to normalise."""
    made = world(seeds)
    plain, normalised, longest = (fit(made, arm) for arm in (DPO, LN_DPO, LONGEST_LN))
    beside = {
        "length, reference": np.repeat(length(reference()[None]), len(seeds)),
        "length, DPO": length(plain),
        "length, LN-DPO": length(normalised),
        "share of the length saved by LN-DPO at its longest": 1 - length(longest) / length(plain),
        "win rate, DPO": win_rate(plain),
        "win rate, LN-DPO": win_rate(normalised),
    }
    return Found(
        claims(plain, normalised),
        claims(*equal_length_fits(seeds)),
        {name: interval(values) for name, values in beside.items()},
    )
