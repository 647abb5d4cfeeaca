from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.types import Consent, Interaction
from rejoinder.rerank.rankers.identity import Identity
from rejoinder.rerank.reranker import Limits, Reranker
from rejoinder.rerank.service import RerankService
from rejoinder.runtime.call import Call, Principal
from rejoinder.v1 import common_pb2, rerank_pb2


@pytest.fixture
def logged():
    return []


@pytest.fixture
def service(logged):
    async def record(interaction: Interaction) -> bool:
        logged.append(interaction)
        return True

    rankers = {"identity": Identity(None, None)}
    return RerankService(Reranker(rankers, record, Limits(), ManualClock(), np.random.default_rng(0)))


async def test_the_request_reaches_the_log_field_by_field_and_the_answer_is_the_slate(service, logged):
    request = rerank_pb2.RerankRequest(
        interaction_id="i",
        conversation_id="c",
        user_id="u",
        query="q",
        candidates=[rerank_pb2.Candidate(id="x", text="a"), rerank_pb2.Candidate(id="y", text="b")],
        top_n=1,
        user_context=[common_pb2.Message(role=common_pb2.ROLE_USER, content="likes tea")],
        consent=common_pb2.CONSENT_NO_TRAIN,
    )
    request.conversation_started_at.FromSeconds(1_700_000_000)
    response = await service.Rerank(request, Call(caller=Principal("shop", frozenset({"app"}))))
    [one] = logged
    assert (one.tenant, one.principal, one.user_id, one.conversation_id) == ("default", "shop", "u", "c")
    assert (one.conversation_started_at, one.consent) == (1_700_000_000.0, Consent.NO_TRAIN)
    assert [m.content for m in one.messages] == ["likes tea"]
    assert (response.interaction_id, response.attempt_id, response.ranker) == ("i", one.attempt_id, "identity")
    assert [(c.id, c.text, c.position, c.propensity) for c in response.ranked] == [("x", "a", 1, 1.0)]
    assert one.ranking.query == "q"


async def test_no_conversation_start_stays_unset(service, logged):
    request = rerank_pb2.RerankRequest(query="q", candidates=[rerank_pb2.Candidate(id="x", text="a")])
    await service.Rerank(request, Call.local())
    assert logged[0].conversation_started_at is None
