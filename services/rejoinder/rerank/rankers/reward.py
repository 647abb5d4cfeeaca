"""A candidate as an answer to the query, by a Bradley-Terry reward model (Stiennon and others, 2009.01325)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rejoinder.core.types import Message
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import Caller, TextModel


class Reward:
    """owns: nothing; the model owns its queue. The model's output `score` is in logits."""

    def __init__(self, model: TextModel, params: None) -> None:
        self.digest = model.digest
        self._model = model
        self._layouts = Layouts(model.facts)

    async def score(
        self, context: Sequence[Message], query: str, candidates: Sequence[str], caller: Caller
    ) -> np.ndarray:
        turns = [*(message.content for message in context), query]
        return await self._model.infer(lambda words: self._layouts.answers(words, turns, candidates), "score", caller)
