"""One scalar per answer; P(a preferred to b) = sigmoid(score a − score b).

Bradley and Terry, Biometrika 1952; as a head on an encoder: Stiennon and others, 2009.01325, section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rejoinder.core.answertext import AnswerBudget, TokenRow, answer_row
from rejoinder.core.types import Message
from rejoinder.runtime.batching.textmodel import Words


class BradleyTerry:
    """facts: `budget` {context, answer}, what the encoder was trained to read. The graph's `score` is calibrated."""

    shape = "scalar"
    output = "score"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._budget = AnswerBudget(**facts["budget"])

    def rows(self, words: Words, messages: Sequence[Message], responses: Sequence[str]) -> list[TokenRow]:
        encoded = words.encode([*(message.content for message in messages), *responses])
        context, answers = encoded[: len(messages)], encoded[len(messages) :]
        return [answer_row(context, a, cls=words.cls, sep=words.sep, budget=self._budget) for a in answers]

    def scores(self, outputs: np.ndarray) -> list[float]:
        """outputs: (N,) logits."""
        return [float(value) for value in outputs]
