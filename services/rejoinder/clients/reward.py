"""Scores of answers by what people prefer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.types import Message
from rejoinder.v1 import reward_pb2

_SCORE = Rpc("/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse)
_COMPARE = Rpc("/rejoinder.v1.RewardService/Compare", reward_pb2.CompareResponse)
_HEADS = Rpc("/rejoinder.v1.RewardService/ListHeads", reward_pb2.ListHeadsResponse)


@dataclass(frozen=True)
class Scores:
    """scores: logits, one per response; only differences mean anything."""

    scores: tuple[float, ...] = ()
    head: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Compared:
    """probability_a: in (0, 1)."""

    probability_a: float = 0.0
    head: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Head:
    """A reward model that is loaded. shape: scalar | vector | embedding | list | segment | judge."""

    name: str = ""
    digest: str = ""
    shape: str = ""
    default_head: bool = False


class RewardClient(SyncClient):
    """Asks what people would prefer. Nothing is recorded."""

    def score(
        self, messages: Sequence[Message], responses: Sequence[str], head: str = "", deadline_s: float | None = None
    ) -> Scores:
        """Scores 1 to 256 answers to one context; "" is the default head. Raises NoSuchHead, QueueFull."""
        return codec.from_proto(self._channel.call(_SCORE, _score(messages, responses, head), deadline_s), Scores)

    def compare(
        self, messages: Sequence[Message], a: str, b: str, head: str = "", deadline_s: float | None = None
    ) -> Compared:
        """The probability that people prefer a to b. Raises as score."""
        return codec.from_proto(self._channel.call(_COMPARE, _compare(messages, a, b, head), deadline_s), Compared)

    def heads(self) -> list[Head]:
        """What may be asked for by name."""
        answer = self._channel.call(_HEADS, reward_pb2.ListHeadsRequest())
        return [codec.from_proto(head, Head) for head in answer.heads]


class AsyncRewardClient(AsyncClient):
    """As RewardClient."""

    async def score(
        self, messages: Sequence[Message], responses: Sequence[str], head: str = "", deadline_s: float | None = None
    ) -> Scores:
        request = _score(messages, responses, head)
        return codec.from_proto(await self._channel.call(_SCORE, request, deadline_s), Scores)

    async def compare(
        self, messages: Sequence[Message], a: str, b: str, head: str = "", deadline_s: float | None = None
    ) -> Compared:
        request = _compare(messages, a, b, head)
        return codec.from_proto(await self._channel.call(_COMPARE, request, deadline_s), Compared)

    async def heads(self) -> list[Head]:
        answer = await self._channel.call(_HEADS, reward_pb2.ListHeadsRequest())
        return [codec.from_proto(head, Head) for head in answer.heads]


def _score(messages: Sequence[Message], responses: Sequence[str], head: str) -> reward_pb2.ScoreRequest:
    return reward_pb2.ScoreRequest(head=head, messages=[codec.to_proto(m) for m in messages], responses=responses)


def _compare(messages: Sequence[Message], a: str, b: str, head: str) -> reward_pb2.CompareRequest:
    return reward_pb2.CompareRequest(head=head, messages=[codec.to_proto(m) for m in messages], a=a, b=b)
