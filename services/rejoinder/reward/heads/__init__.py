"""Reward heads: how an encoder's output becomes a preference. The port is here, one file is one head."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from rejoinder.core.answertext import TokenRow
from rejoinder.core.table import Row, Table
from rejoinder.core.types import Message
from rejoinder.reward.heads import bt, causal


class Head(Protocol):
    """Made from a model's facts. shape: scalar | vector | embedding | list | segment | judge. output: of its graph."""

    shape: str
    output: str

    def rows(self, words: Any, messages: Sequence[Message], responses: Sequence[str]) -> list[TokenRow]:
        """One row of the graph per response. words: of the model that the head's row names, `Words` or `ChatWords`."""

    def scores(self, outputs: np.ndarray) -> list[float]:
        """Bradley-Terry scores in logits from the rows' outputs (N, …)."""


Make = Callable[[Mapping[str, Any]], Head]

HEADS = Table(
    "reward head",
    Row(
        "bt",
        bt.BradleyTerry,
        paper="Bradley and Terry 1952; 2009.01325, eq. 1",
        claim="P(a preferred to b) = sigmoid(score a − score b), one scalar per answer",
        traits={"shape": "scalar", "antisymmetric": True, "model": "encoder"},
    ),
    Row(
        "causal",
        causal.Causal,
        paper="Bradley and Terry 1952; 2203.02155, section 3.5",
        claim="the same, the scalar read at the answer's last token of a language model; the conversation is read once",
        traits={"shape": "scalar", "antisymmetric": True, "model": "causal"},
    ),
)
