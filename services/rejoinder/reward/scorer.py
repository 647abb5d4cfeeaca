"""Scores and comparisons on plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rejoinder.core.errors import EmptyField, NoSuchHead, TooLong
from rejoinder.core.types import Message
from rejoinder.reward.heads import Head
from rejoinder.runtime.batching.causalmodel import CausalModel
from rejoinder.runtime.batching.textmodel import NOBODY, Caller, TextModel

_MAX_NAME_CHARS = 256


@dataclass(frozen=True)
class LoadedHead:
    name: str
    head: Head
    model: TextModel | CausalModel


@dataclass(frozen=True)
class Scored:
    """scores: logits, one per response in order; only differences mean anything. digest: of the weights that ran."""

    scores: tuple[float, ...]
    head: str
    digest: str


class Scorer:
    """owns: nothing; the models own their queues."""

    def __init__(self, heads: Sequence[LoadedHead], max_responses: int) -> None:
        self.heads: Mapping[str, LoadedHead] = {loaded.name: loaded for loaded in heads}
        self.default = heads[0].name
        self._max_responses = max_responses

    async def score(
        self, head: str, messages: Sequence[Message], responses: Sequence[str], caller: Caller = NOBODY
    ) -> Scored:
        """head: "" is the default. Raises EmptyField, TooLong, NoSuchHead, and what the queue raises."""
        if not messages:
            raise EmptyField("messages")
        if not responses:
            raise EmptyField("responses")
        if len(responses) > self._max_responses:
            raise TooLong("responses", len(responses), self._max_responses, "items")
        loaded = self._head(head)
        outputs = await loaded.model.infer(
            lambda words: loaded.head.rows(words, messages, responses), loaded.head.output, caller
        )
        return Scored(tuple(loaded.head.scores(outputs)), loaded.name, loaded.model.digest)

    async def compare(
        self, head: str, messages: Sequence[Message], a: str, b: str, caller: Caller = NOBODY
    ) -> tuple[float, Scored]:
        """(P(a preferred to b) in (0, 1), the scores). A scalar head sees each answer alone, so both orders are one."""
        scored = await self.score(head, messages, [a, b], caller)
        margin = min(max(scored.scores[0] - scored.scores[1], -30.0), 30.0)
        return 1.0 / (1.0 + math.exp(-margin)), scored

    def _head(self, name: str) -> LoadedHead:
        # An error quotes the name, and gRPC carries errors of a few kilobytes.
        if len(name) > _MAX_NAME_CHARS:
            raise TooLong("head", len(name), _MAX_NAME_CHARS, "characters")
        loaded = self.heads.get(name or self.default)
        if loaded is None:
            raise NoSuchHead(f"no head called {name!r} is loaded; loaded: {', '.join(self.heads)}", head=name)
        return loaded
