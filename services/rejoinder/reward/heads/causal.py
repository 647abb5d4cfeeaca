"""One scalar per answer from a causal backbone: the value at the answer's last token.

Bradley and Terry, Biometrika 1952; a linear layer on the last token's state of a language model: Ouyang and others,
2203.02155, section 3.5. The answers of a request share their conversation, which is read once (CausalModel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rejoinder.core.answertext import AnswerBudget, TokenRow
from rejoinder.core.types import Message
from rejoinder.runtime.batching.causalmodel import ChatWords


class Causal:
    """facts: `budget` {context, answer}, what of a row the model takes; `end`: ids that its template sets after an
    answer, at least one."""

    shape = "scalar"
    output = "score"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._budget = AnswerBudget(**facts["budget"])
        self._end = tuple(facts["end"])

    def rows(self, words: ChatWords, messages: Sequence[Message], responses: Sequence[str]) -> list[TokenRow]:
        context = tuple(words.chat(messages)[-self._budget.context :])
        answers = ((*found[: self._budget.answer], *self._end) for found in words.encode(responses))
        return [TokenRow(context + answer, (0,) * len(context) + (1,) * len(answer)) for answer in answers]

    def scores(self, outputs: np.ndarray) -> list[float]:
        """outputs: (N,) logits."""
        return [float(value) for value in outputs]
