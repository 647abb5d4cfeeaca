"""Relevance by a cross-encoder that reads query and candidate together (Nogueira and Cho, 1901.04085).

What is known of the user is not read: such a model was trained on a query and a passage and nothing beside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rejoinder.core.errors import BadFile
from rejoinder.core.pairtext import PairLayout
from rejoinder.core.types import Message
from rejoinder.runtime.batching.textmodel import Caller, TextModel


class Cross:
    """owns: nothing; the model owns its queue. The model's output `score` is the logit as it came. Raises BadFile for a
    model of our own layout, which was not trained on pairs."""

    def __init__(self, model: TextModel, params: None) -> None:
        if "layout" not in model.facts:
            raise BadFile(
                "the model is no cross-encoder that `rejoinder models export --kind score` made", field="cross"
            )
        self.digest = model.digest
        self._model = model
        self._layout = PairLayout.of(model.facts["layout"])

    async def score(
        self, context: Sequence[Message], query: str, candidates: Sequence[str], caller: Caller
    ) -> np.ndarray:
        def rows(words):
            asked, *found = words.encode([query, *candidates])
            return [self._layout.ranked(asked, each) for each in found]

        return await self._model.infer(rows, "score", caller)
