"""The rating head: what a chat partner would rate the tone, and whether this is such a chat at all; ridge regression.

Solved, not descended: trained along with the other tasks, a head on the last layer reached .19 (Spearman, held-out
dialogues), this one .33, because tone and length stand in the lower layers. In chats between people ratings follow
tone; an assistant's user who is silent about the answer is no less content for being curt. So the second output says
which of the two it is, and calibration lets tone count where it is a chat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rejoinder.training.extractor.fit import Encoder, by_length
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.text import Turn

RIDGE = 1.1  # penalty per turn on coefficients of standardised features


@torch.no_grad()
def features(model: SignalEncoder, encoder: Encoder, turns: Sequence[Turn], size: int = 64) -> np.ndarray:
    """(n, 1922), in the order of `turns`, which should be sorted by length."""
    out = []
    for k in range(0, len(turns), size):
        rows = encoder.batch(turns[k : k + size])
        with torch.autocast("cpu", torch.bfloat16):
            out.append(model.encode(rows.ids, rows.mask, rows.types)[2].numpy())
    return np.concatenate(out)


def solve(
    x: np.ndarray, y: np.ndarray, ridge: float = RIDGE, weights: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Coefficients on the raw features and the intercept. weights: of the turns, mean 1."""
    v = np.ones(len(y)) if weights is None else weights
    middle, spread = np.average(x, 0, v), x.std(0) + 1e-6
    z, mean = (x - middle) / spread, np.average(y, weights=v)
    w = np.linalg.solve((z.T * v) @ z + ridge * len(y) * np.eye(x.shape[1]), (z.T * v) @ (y - mean)) / spread
    return w, float(mean - middle @ w)


def fit_rating(model: SignalEncoder, encoder: Encoder, rated: Sequence[Turn], judged: Sequence[Turn]) -> None:
    """Sets the rating head in place. rated: chat turns whose level is a rating; judged: turns with an assistant."""
    if not rated or not judged:
        return
    model.eval()
    rated, judged = by_length(rated, 1)[0], by_length(judged, 1)[0]
    chat, other = (features(model, encoder, turns).astype(np.float64) for turns in (rated, judged))
    both = np.concatenate([chat, other])
    is_chat = np.concatenate([np.ones(len(chat)), np.zeros(len(other))])
    even = np.where(is_chat == 1, 0.5 / len(chat), 0.5 / len(other)) * len(both)
    solved = (
        solve(chat, np.array([turn.level for turn in rated], dtype=float)),
        solve(both, is_chat, ridge=0.1 * RIDGE, weights=even),
    )
    for row, (w, b) in enumerate(solved):
        model.rating.weight.data[row] = torch.from_numpy(w).float()
        model.rating.bias.data[row] = b
