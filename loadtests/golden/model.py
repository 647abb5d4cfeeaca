"""A model that sleeps instead of computing: what it costs is known, so its capacity is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from pydantic import Field
from rejoinder.runtime.batching.textmodel import Words
from rejoinder.runtime.settings import Theme

#: Of a reward model with room for every text of texts.py.
FACTS = {"outputs": ["score"], "budget": {"context": 128, "answer": 256}}


class Cost(Theme):
    """Seconds of a batch: `batch_s` and `token_s` for each of its tokens, padding included."""

    batch_s: float = Field(default=0.002, ge=0)
    token_s: float = Field(default=0.0001, gt=0)

    def of(self, padded_tokens: int) -> float:
        return self.batch_s + self.token_s * padded_tokens


class SleepingGraph:
    """A Backend. The score of a row is the number of its tokens. sleep: what spends seconds. owns: what it spent."""

    digest = "golden"

    def __init__(self, cost: Cost, sleep: Callable[[float], None]) -> None:
        self._cost = cost
        self._sleep = sleep
        self.busy_s = 0.0
        self.rows = 0

    def ready(self) -> bool:
        return True

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        mask = tensors["attention_mask"]
        seconds = self._cost.of(mask.size)
        self.busy_s += seconds
        self.rows += len(mask)
        self._sleep(seconds)
        return {"score": mask.sum(1).astype(np.float64)}

    def close(self) -> None:
        pass


def words() -> Words:
    """A tokenizer of one token a word."""
    return Words(lambda texts: [[7] * len(text.split()) for text in texts], cls=1, sep=2)
