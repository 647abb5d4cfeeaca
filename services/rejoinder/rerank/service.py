"""rejoinder.v1.RerankService: decode, call, encode."""

from __future__ import annotations

from rejoinder.core import codec
from rejoinder.core.types import Interaction
from rejoinder.rerank.reranker import Ask, Reranker
from rejoinder.runtime.batching.textmodel import Caller
from rejoinder.runtime.call import Call
from rejoinder.v1 import events_pb2, rerank_pb2, rerank_pb2_grpc


class RerankService(rerank_pb2_grpc.RerankServiceServicer):
    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    async def Rerank(self, request: rerank_pb2.RerankRequest, call: Call) -> rerank_pb2.RerankResponse:
        logged = await self._reranker.rerank(ask_of(request, call))
        assert logged.ranking is not None
        assert logged.served is not None
        return rerank_pb2.RerankResponse(
            interaction_id=logged.interaction_id,
            attempt_id=logged.attempt_id,
            ranked=[codec.to_proto(candidate) for candidate in logged.ranking.candidates],
            ranker=logged.served.version,
            digest=logged.served.digest,
        )


def ask_of(request: rerank_pb2.RerankRequest, call: Call) -> Ask:
    said = events_pb2.Interaction(
        tenant=request.tenant or "default",
        interaction_id=request.interaction_id,
        conversation_id=request.conversation_id,
        user_id=request.user_id,
        principal=call.principal,
        messages=request.user_context,
        consent=request.consent,
    )
    if request.HasField("conversation_started_at"):
        said.conversation_started_at.CopyFrom(request.conversation_started_at)
    interaction = codec.from_proto(said, Interaction)
    return Ask(
        interaction,
        request.query,
        [(candidate.id, candidate.text) for candidate in request.candidates],
        request.top_n,
        request.ranker,
        request.temperature,
        request.seed,
        Caller(interaction.tenant, call.deadline),
    )
