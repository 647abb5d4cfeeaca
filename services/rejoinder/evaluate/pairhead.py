"""A small Bradley-Terry head, fitted on pairs in a fraction of a second: a second opinion of a reward, whoever's pairs.

Two heads that share no users tell over-optimisation (2210.10760): where the head of the users that were
trained on keeps climbing and the other one's stops or falls, what is learnt is those users' accidents. score = w · x,
P(chosen over rejected) = sigmoid(w · (x_chosen − x_rejected)), w by Newton's method under an L2 penalty.

x, by signed hashing (0902.2206): the answer's distinct words and signs, its length and whether
it has lines, and the last two of these once more for each word of the question, because what is liked of one kind of
question is not what is liked of another. No encoder: MiniLM reads some sixty answers in a core's second, and a
demonstration asks for thousands.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TOKEN = re.compile(r"\w+|[^\w\s]")
#: A middling answer has e^2.9, about 18 words; a unit of length is a factor of e^(1/3), so that it weighs like a word.
_MIDDLE, _UNITS = 2.9, 3.0


@dataclass(frozen=True)
class Params:
    """width: of x, ≥ 1. penalty: L2 on w, > 0; Newton's steps of a convex loss, after which nothing moves any more."""

    width: int = 256
    penalty: float = 10.0
    steps: int = 8


@dataclass(frozen=True)
class Compared:
    """One pair: the question, and the two answers."""

    question: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PairHead:
    """weights: (width,)."""

    weights: NDArray[np.float64]

    def scores(self, questions: Sequence[str], answers: Sequence[str]) -> NDArray[np.float64]:
        """Logits (n,), one an answer; only differences mean anything."""
        width = len(self.weights)
        rows = [features(question, answer, width) for question, answer in zip(questions, answers, strict=True)]
        return np.array(rows).reshape(-1, width) @ self.weights


def fit(pairs: Sequence[Compared], params: Params = Params()) -> PairHead:
    """The head of these pairs; of no pair the one that finds every answer alike."""
    return fit_compared(compared(pairs, params.width), params)


def compared(pairs: Sequence[Compared], width: int) -> NDArray[np.float64]:
    """(n, width) x of each chosen answer less that of the rejected one."""
    rows = [features(p.question, p.chosen, width) - features(p.question, p.rejected, width) for p in pairs]
    return np.array(rows).reshape(-1, width)


def fit_compared(margins: NDArray[np.float64], params: Params) -> PairHead:
    """The head of pairs as `compared` describes them."""
    return PairHead(_weights(margins, params))


def fit_judged(described: NDArray[np.float64], satisfied: NDArray[np.bool_], params: Params) -> PairHead:
    """The head of answers that were liked or not: x (n, width) and (n,), P(satisfied) = sigmoid(w · x + b); b is not
    kept, for only differences mean anything."""
    rows = np.hstack([described, np.ones((len(described), 1))]) * np.where(satisfied, 1.0, -1.0)[:, None]
    return PairHead(_weights(rows, params)[:-1])


def _weights(margins: NDArray[np.float64], params: Params) -> NDArray[np.float64]:
    """w (width,) under which the rows (n, width) are positive, as likely as the penalty lets them be."""
    width = margins.shape[1]
    weights = np.zeros(width)
    for _ in range(params.steps):
        wrong = 1 / (1 + np.exp(np.clip(margins @ weights, -30, 30)))
        curve = (margins * (wrong * (1 - wrong))[:, None]).T @ margins + params.penalty * np.eye(width)
        weights = weights + np.linalg.solve(curve, margins.T @ wrong - params.penalty * weights)
    return weights


def features(question: str, answer: str, width: int) -> NDArray[np.float64]:
    """x (width,) of an answer to a question."""
    x = np.zeros(width)
    for name, value in _named(question, answer):
        number = zlib.crc32(name.encode())
        x[number % width] += value if number >> 31 else -value
    return x


def _named(question: str, answer: str) -> Iterator[tuple[str, float]]:
    for token in set(_TOKEN.findall(answer.lower())):
        yield token, 1.0
    length = math.log1p(len(answer.split())) - _MIDDLE
    shape = {" length": _UNITS * length, " lines": float("\n" in answer.strip())}
    yield from shape.items()
    asked = set(_TOKEN.findall(question.lower()))
    for token in asked:
        for name, value in shape.items():
            yield f"{token}|{name}", value / len(asked) ** 0.5
