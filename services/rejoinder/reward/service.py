"""rejoinder.v1.RewardService: decode, call, encode."""

from __future__ import annotations

from rejoinder.core import codec
from rejoinder.core.types import Message
from rejoinder.reward.scorer import Scorer
from rejoinder.runtime.batching.textmodel import Caller
from rejoinder.runtime.call import Call
from rejoinder.v1 import reward_pb2, reward_pb2_grpc


class RewardService(reward_pb2_grpc.RewardServiceServicer):
    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def Score(self, request: reward_pb2.ScoreRequest, call: Call) -> reward_pb2.ScoreResponse:
        messages = [codec.from_proto(m, Message) for m in request.messages]
        scored = await self._scorer.score(request.head, messages, list(request.responses), caller_of(call))
        return reward_pb2.ScoreResponse(scores=scored.scores, head=scored.head, digest=scored.digest)

    async def Compare(self, request: reward_pb2.CompareRequest, call: Call) -> reward_pb2.CompareResponse:
        messages = [codec.from_proto(m, Message) for m in request.messages]
        probability, scored = await self._scorer.compare(request.head, messages, request.a, request.b, caller_of(call))
        return reward_pb2.CompareResponse(probability_a=probability, head=scored.head, digest=scored.digest)

    async def ListHeads(self, request: reward_pb2.ListHeadsRequest, call: Call) -> reward_pb2.ListHeadsResponse:
        return reward_pb2.ListHeadsResponse(
            heads=[
                reward_pb2.Head(
                    name=loaded.name,
                    digest=loaded.model.digest,
                    shape=loaded.head.shape,
                    default_head=loaded.name == self._scorer.default,
                )
                for loaded in self._scorer.heads.values()
            ]
        )


def caller_of(call: Call) -> Caller:
    """Turns are between principals. Whoever is one of our own jobs and no application works in batch class."""
    return Caller(call.principal, call.deadline, "internal" in call.roles and "app" not in call.roles)
