"""rerank/checks: whatever passes is taken by ingest, so that no slate is shown and then refused by the log (F06)."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import BadEncoding, InvalidArgument, RejoinderError, TooLong
from rejoinder.core.types import Interaction
from rejoinder.feedback.settings import LimitSettings as IngestLimits
from rejoinder.feedback.validate import check_event
from rejoinder.rerank.checks import Limits
from rejoinder.rerank.rankers.identity import Identity
from rejoinder.rerank.reranker import Reranker
from rejoinder.rerank.service import RerankService
from rejoinder.rerank.settings import LimitSettings
from rejoinder.runtime.call import Call
from rejoinder.v1 import common_pb2, rerank_pb2

NOW = 1_700_000_000.0
ODD = st.sampled_from(["", " ", "a", "a\x00b", "a\nb", "\u202ea", "x" * 256, "x" * 257, "ü", "x" * 263_000])
NUMBERS = st.sampled_from([0.0, 0.5, 1e308, 1e-320, -1.0, float("nan"), float("inf")])


def asked(**fields: object) -> rerank_pb2.RerankRequest:
    return rerank_pb2.RerankRequest(**{"query": "q", "candidates": [{"id": "x", "text": "a"}], **fields})


def answered(request: rerank_pb2.RerankRequest, **limits: int) -> Interaction:
    """What was logged, after an answer."""
    logged = []

    async def record(interaction: Interaction) -> bool:
        logged.append(interaction)
        return True

    seeds = np.random.default_rng(0)
    reranker = Reranker({"identity": Identity(None, None)}, record, Limits(**limits), ManualClock(NOW), seeds)
    asyncio.run(RerankService(reranker).Rerank(request, Call.local()))
    return logged[0]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"interaction_id": "a\nb"}, BadEncoding),
        ({"user_id": "u" * 257}, TooLong),
        ({"user_id": "🦔" * 129}, TooLong),
        ({"candidates": [{"id": "\u202ex", "text": "a"}]}, BadEncoding),
        ({"query": "q" * 262_145}, TooLong),
        ({"ranker": "r" * 70_000}, TooLong),
        ({"user_context": [common_pb2.Message(role="ROLE_USER", content="x" * 262_145)]}, TooLong),
        (
            {"user_context": [common_pb2.Message(role="ROLE_USER", content="x")] * (IngestLimits().max_parts + 1)},
            TooLong,
        ),
        ({"conversation_started_at": {"seconds": 1}}, InvalidArgument),
        ({"conversation_started_at": {"seconds": 10**15}}, BadEncoding),
        ({"conversation_started_at": {"seconds": 5, "nanos": -7}}, BadEncoding),
    ],
)
def test_what_ingest_would_refuse_is_refused_before_anybody_sees_a_slate(
    fields: dict[str, object], error: type[RejoinderError]
) -> None:
    with pytest.raises(error):
        answered(asked(**fields))


def test_a_request_beyond_the_sum_of_its_texts_is_refused() -> None:
    with pytest.raises(TooLong, match="request is 101 bytes"):
        answered(asked(query="q" * 60, candidates=[{"id": "x", "text": "é" * 20 + "a"}]), max_bytes=100)


def test_limits_are_those_of_ingest() -> None:
    assert Limits(**LimitSettings().model_dump()) == Limits()
    assert Limits().max_text_bytes <= IngestLimits().max_text_bytes
    with pytest.raises(ValueError, match="max_candidates"):
        LimitSettings(max_candidates=IngestLimits().max_parts + 1)


@given(
    names=st.tuples(ODD, ODD, ODD, ODD),
    texts=st.tuples(ODD, ODD, ODD),
    temperature=NUMBERS,
    started=st.sampled_from([0, 1, int(NOW), 10**11, 10**15, -(10**12)]),
    role=st.sampled_from([0, 1, 2]),
)
@run_with(max_examples=150, deadline=None, derandomize=True)
def test_whatever_is_answered_is_what_ingest_takes(names, texts, temperature, started, role) -> None:
    request = asked(
        query=texts[0],
        candidates=[{"id": names[3], "text": texts[1]}, {"id": "other", "text": "b"}],
        user_context=[common_pb2.Message(role=role, content=texts[2])],
        interaction_id=names[0],
        tenant=names[1],
        user_id=names[2],
        temperature=temperature,
    )
    if started:
        request.conversation_started_at.seconds = started
    try:
        logged = answered(request)
    except InvalidArgument:
        return
    check_event(logged, IngestLimits(), NOW)
