"""Similarity of query and candidate by a bi-encoder (Reimers and Gurevych, 1908.10084): one pass over 1 + n texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rejoinder.core.types import Message
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import Caller, TextModel


@dataclass(frozen=True)
class CosineParams:
    """context: weight in [0, 1] of what is known of the user beside the query (ours; the paper has one text)."""

    context: float = 0.2


class Cosine:
    """owns: nothing; the model owns its queue. The model's output `embedding` is of length 1."""

    def __init__(self, model: TextModel, params: CosineParams) -> None:
        self.digest = model.digest
        self._model = model
        self._layouts = Layouts(model.facts)
        self._params = params

    async def score(
        self, context: Sequence[Message], query: str, candidates: Sequence[str], caller: Caller
    ) -> np.ndarray:
        known = " ".join(message.content for message in context)
        texts = [query, *([known] if known else []), *candidates]
        vectors = await self._model.infer(lambda words: self._layouts.texts(words, texts), "embedding", caller)
        similar = vectors[-len(candidates) :] @ vectors[: -len(candidates)].T
        if not known:
            return similar[:, 0]
        return (1 - self._params.context) * similar[:, 0] + self._params.context * similar[:, 1]
