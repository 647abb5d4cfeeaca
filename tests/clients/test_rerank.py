from __future__ import annotations

from rejoinder.clients import (
    AsyncRerankClient,
    Connection,
    RerankClient,
)
from rejoinder.clients.rerank import RerankAsk, Reranked
from rejoinder.core.types import Message, RankedCandidate, Role
from rejoinder.v1 import events_pb2, rerank_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")
ASKED = (Message(Role.USER, "How warm is it?"),)


RERANK = {
    "Rerank": rerank_pb2.RerankResponse(
        interaction_id="i", ranked=[events_pb2.RankedCandidate(id="b", position=1, propensity=0.5)]
    )
}
ASK = RerankAsk("shoes", (("a", "red"), ("b", "blue")), top_n=1, user_context=ASKED, temperature=0.5)
RERANKED = Reranked("i", ranked=(RankedCandidate("b", position=1, propensity=0.5),))


def test_the_reranker_is_asked_with_an_id_made_before_the_first_try() -> None:
    channel = ScriptedChannel(**RERANK)
    assert RerankClient(HERE, channel).rerank(ASK) == RERANKED
    ((_, request),) = channel.asked
    assert len(request.interaction_id) == 36
    assert [(c.id, c.text) for c in request.candidates] == [("a", "red"), ("b", "blue")]
    assert (request.top_n, request.temperature, request.user_context[0].content) == (1, 0.5, "How warm is it?")


async def test_the_async_reranker_says_the_same() -> None:
    assert await AsyncRerankClient(HERE, AsyncScriptedChannel(**RERANK)).rerank(ASK) == RERANKED
