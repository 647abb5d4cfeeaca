"""Candidates in the order to show, with the propensity of each place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Consent, Message, RankedCandidate
from rejoinder.v1 import rerank_pb2

_RERANK = Rpc("/rejoinder.v1.RerankService/Rerank", rerank_pb2.RerankResponse, idempotent=False)


@dataclass(frozen=True)
class RerankAsk:
    """What Rerank is asked, as rerank.proto has it. candidates: (id, text). temperature 0 = deterministic order."""

    query: str
    candidates: tuple[tuple[str, str], ...]
    tenant: str = ""
    interaction_id: str = ""
    conversation_id: str = ""
    conversation_started_at: float | None = None
    user_id: str = ""
    top_n: int = 0
    ranker: str = ""
    user_context: tuple[Message, ...] = ()
    consent: Consent = Consent.UNSPECIFIED
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Reranked:
    """The slate as it is to be shown, best first; a click on it names interaction_id and its position."""

    interaction_id: str = ""
    attempt_id: str = ""
    ranked: tuple[RankedCandidate, ...] = ()
    ranker: str = ""
    digest: str = ""


class RerankClient(SyncClient):
    """Asks for an order. Every slate is recorded, as an answer is."""

    def rerank(self, ask: RerankAsk, deadline_s: float | None = None) -> Reranked:
        """The slate in the order to show. Sent again only when the server says that it did not begin."""
        return codec.from_proto(self._channel.call(_RERANK, _request(ask), deadline_s), Reranked)


class AsyncRerankClient(AsyncClient):
    """As RerankClient."""

    async def rerank(self, ask: RerankAsk, deadline_s: float | None = None) -> Reranked:
        return codec.from_proto(await self._channel.call(_RERANK, _request(ask), deadline_s), Reranked)


def _request(ask: RerankAsk) -> rerank_pb2.RerankRequest:
    request = codec.to_proto(replace(ask, candidates=()), rerank_pb2.RerankRequest())
    request.interaction_id = request.interaction_id or uuid7()
    request.candidates.extend([rerank_pb2.Candidate(id=id_, text=text) for id_, text in ask.candidates])
    return request
