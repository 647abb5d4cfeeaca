"""One scalar per answer; P(a preferred to b) = sigmoid(score a − score b).

Bradley and Terry, Biometrika 1952; as a head on an encoder: Stiennon and others, 2009.01325, section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rejoinder.core.answertext import TokenRow
from rejoinder.core.types import Message
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import Words


class BradleyTerry:
    """facts: `budget` {context, answer}, what the encoder was trained to read, its `score` then being calibrated; or
    the `layout` of a model that was brought, whose `score` is as it came."""

    shape = "scalar"
    output = "score"

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._layouts = Layouts(facts)

    def rows(self, words: Words, messages: Sequence[Message], responses: Sequence[str]) -> list[TokenRow]:
        return self._layouts.answers(words, [message.content for message in messages], responses)

    def scores(self, outputs: np.ndarray) -> list[float]:
        """outputs: (N,) logits."""
        return [float(value) for value in outputs]
