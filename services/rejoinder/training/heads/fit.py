"""Training of the shipped reward head: the encoder's part by gradient, the lexical table by logistic regression, the
weights of the parts (and with them the calibration) on pairs that neither was trained on.

Pairwise loss -[p log sigmoid(d) + (1-p) log sigmoid(-d)], d = score a - score b, p the share of judges for a
(2009.01325, eq. 1, with soft labels), plus `centre` · (score a + score b)², which keeps scores near zero
(2312.09244, eq. 3 of its appendix) since only differences are observed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from rejoinder.training.heads.cache import States, batches
from rejoinder.training.heads.model import VOCABULARY, RewardEncoder
from rejoinder.training.heads.pairs import PairRows, length_feature


@dataclass(frozen=True)
class FitParams:
    """rate, head_rate: AdamW's peak learning rates of the updates and of the scalar. tokens: padded, of a step.

    warm_up: share of the steps. centre: see the module. lexical_c: inverse penalty of the table (scikit-learn's C).
    """

    epochs: int = 2
    rate: float = 5e-4
    head_rate: float = 1e-3
    tokens: int = 6000
    warm_up: float = 0.1
    decay: float = 0.01
    centre: float = 0.01
    clip: float = 1.0
    lexical_c: float = 0.01
    seed: int = 0


def train(
    model: RewardEncoder,
    states: States,
    pref: np.ndarray,
    which: Sequence[int],
    params: FitParams,
    told: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Tunes the model's upper layers on the pairs `which`; states hold pair i's rows at 2i and 2i + 1."""
    torch.manual_seed(params.seed)
    chosen = np.asarray(which)
    sizes = np.maximum(states.sizes[2 * chosen], states.sizes[2 * chosen + 1]) * 2
    plan = [batches(sizes, params.tokens, np.random.default_rng(params.seed + e)) for e in range(params.epochs)]
    total = sum(map(len, plan))
    tuned = [p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("scalar")]
    groups = [{"params": tuned, "lr": params.rate}, {"params": [model.scalar.weight], "lr": params.head_rate}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=params.decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda at: min((at + 1) / (params.warm_up * total), max(total - at, 0) / ((1 - params.warm_up) * total)),
    )
    for epoch, steps in enumerate(plan):
        model.train()
        losses = 0.0
        for part in steps:
            pairs = chosen[part]
            with torch.autocast("cpu", torch.bfloat16):
                scores = model.upper(*states.padded([*(2 * pairs), *(2 * pairs + 1)]))
            a, b = scores[: len(part)], scores[len(part) :]
            target = torch.tensor(pref[pairs], dtype=torch.float32)
            loss = F.binary_cross_entropy_with_logits(a - b, target) + params.centre * ((a + b) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([*tuned, model.scalar.weight], params.clip)
            optimizer.step()
            scheduler.step()
            losses += loss.item() * len(part)
        told(epoch, losses / len(chosen))


def margins(model: RewardEncoder, states: States, which: Sequence[int]) -> np.ndarray:
    """The encoder's part of score a − score b for the pairs `which` (n,)."""
    model.eval()
    rows = np.array([[2 * i, 2 * i + 1] for i in which]).reshape(-1)
    scores = np.zeros(len(rows))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for part in batches(states.sizes[rows], 8000):
            scores[part] = model.upper(*states.padded(rows[part].tolist())).numpy()
    return scores[0::2] - scores[1::2]


def presence(pairs: Sequence[PairRows], sep: int):
    """Sparse (n, vocabulary): +1 for a token only answer a holds, −1 for one only b holds."""
    from scipy.sparse import csr_matrix

    rows, columns, values = [], [], []
    for at, pair in enumerate(pairs):
        a, b = ({t for t, kind in zip(row.ids, row.types, strict=True) if kind} for row in (pair.a, pair.b))
        for token in (a ^ b) - {sep}:
            rows.append(at)
            columns.append(token)
            values.append(1.0 if token in a else -1.0)
    return csr_matrix((values, (rows, columns)), shape=(len(pairs), VOCABULARY))


def logistic(features, pref: np.ndarray, c: float) -> np.ndarray:
    """Weights (d,) of a logistic regression without intercept on soft labels: a and b exchanged give the negative."""
    from sklearn.linear_model import LogisticRegression

    n = features.shape[0]
    stacked = features[np.concatenate([np.arange(n), np.arange(n)])]
    labels, weight = np.repeat([1, 0], n), np.concatenate([pref, 1 - pref])
    fitted = LogisticRegression(C=c, fit_intercept=False, max_iter=1000).fit(stacked, labels, sample_weight=weight)
    return fitted.coef_[0]


def parts(encoder: np.ndarray, lexicon: np.ndarray, pairs: Sequence[PairRows], sep: int) -> np.ndarray:
    """The three parts of every pair's margin (n, 3): encoder, lexical, log length."""
    length = np.array([length_feature(pair.a) - length_feature(pair.b) for pair in pairs])
    return np.stack([encoder, presence(pairs, sep) @ lexicon, length], 1)
