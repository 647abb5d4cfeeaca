"""Rankers: how well a candidate suits a query and a user. The port is here, one file is one ranker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rejoinder.core.table import Row, Table
from rejoinder.core.types import Message
from rejoinder.rerank.rankers import cosine, cross, identity, reward
from rejoinder.runtime.batching.textmodel import Caller


class Ranker(Protocol):
    """digest: of the weights that score, "" where there are none. Made from the text model that its row names."""

    digest: str

    async def score(
        self, context: Sequence[Message], query: str, candidates: Sequence[str], caller: Caller
    ) -> np.ndarray:
        """(n,) scores, more is better; their unit is the row's, and a temperature is in that unit.

        context: what is known of the user, oldest first.
        """


RANKERS = Table(
    "ranker",
    Row(
        "cosine",
        cosine.Cosine,
        cosine.CosineParams,
        paper="1908.10084",
        claim="similarity of query and candidate by a sentence encoder, in [-1, 1]",
        traits={"model": "encoder"},
    ),
    Row(
        "reward",
        reward.Reward,
        paper="2009.01325",
        claim="how much people would prefer the candidate as an answer to the query, in logits",
        traits={"model": "reward"},
    ),
    Row(
        "cross",
        cross.Cross,
        paper="1901.04085",
        claim="relevance by a cross-encoder of your own, which reads query and candidate together, in its logits",
        traits={"model": "cross"},
    ),
    Row(
        "identity",
        identity.Identity,
        claim="the incoming order, one unit of score a place: the baseline and the fall-back",
        traits={"model": ""},
    ),
)
