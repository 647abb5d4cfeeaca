"""Rankers as models of the Open Inference Protocol: `query` (one) and `candidates` in; the slate out, in the order to
show. It is an attempt like any other: recorded before anybody sees it, with what the parameters say about the call.

Outputs have an entry a place: `index` of the candidate in the request, its `ids`, `scores`, `propensities`; and
`interaction_id`, one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rejoinder.core.errors import BadEncoding, InvalidArgument
from rejoinder.rerank.rankers import Ranker
from rejoinder.rerank.reranker import Reranker
from rejoinder.rerank.service import ask_of
from rejoinder.runtime.call import Call
from rejoinder.runtime.openinference import Output, TensorModel, TextInput
from rejoinder.runtime.openinference.model import Value
from rejoinder.v1 import common_pb2, rerank_pb2

_INPUTS = (
    TextInput("query", size=1),
    TextInput("candidates"),
    TextInput("ids", required=False),
    TextInput("user_context", required=False),
)
_OUTPUTS = (
    Output("index", "INT64"),
    Output("ids", "BYTES"),
    Output("scores", "FP64"),
    Output("propensities", "FP64"),
    Output("interaction_id", "BYTES"),
)
#: Fields of RerankRequest that are said as parameters.
_PARAMETERS = {
    "tenant": str,
    "interaction_id": str,
    "conversation_id": str,
    "user_id": str,
    "consent": str,
    "top_n": int,
    "temperature": float,
    "seed": int,
}
_CONSENTS = {"TRAIN": common_pb2.CONSENT_TRAIN, "NO_TRAIN": common_pb2.CONSENT_NO_TRAIN}


def tensor_models(reranker: Reranker, rankers: Mapping[str, Ranker]) -> list[TensorModel]:
    return [
        TensorModel(
            name,
            # The identity has no weights.
            ranker.digest or "1",
            "rejoinder_rerank",
            _INPUTS,
            _OUTPUTS,
            partial(_infer, reranker, name),
            _PARAMETERS,
        )
        for name, ranker in rankers.items()
    ]


async def _infer(
    reranker: Reranker, ranker: str, texts: Mapping[str, list[str]], said: Mapping[str, Value], call: Call
) -> Mapping[str, Sequence[object]]:
    request = _request(ranker, texts, said)
    call.caller.check_tenant(request.tenant)
    logged = await reranker.rerank(ask_of(request, call))
    assert logged.ranking is not None
    slate = logged.ranking.candidates
    places = {candidate.id: at for at, candidate in enumerate(request.candidates)}
    return {
        "index": [places[shown.id] for shown in slate],
        "ids": [shown.id for shown in slate],
        "scores": [shown.score for shown in slate],
        "propensities": [shown.propensity for shown in slate],
        "interaction_id": [logged.interaction_id],
    }


def _request(ranker: str, texts: Mapping[str, list[str]], said: Mapping[str, Value]) -> rerank_pb2.RerankRequest:
    candidates = texts["candidates"]
    ids = texts.get("ids") or [str(at) for at in range(len(candidates))]
    if len(ids) != len(candidates):
        raise BadEncoding("ids are not as many as candidates", field="ids")
    # Each of the type that `_PARAMETERS` says.
    fields: dict[str, Any] = dict(said)
    consent = fields.pop("consent", None)
    if consent is not None and consent not in _CONSENTS:
        raise InvalidArgument(f"consent is one of {', '.join(_CONSENTS)}", field="consent")
    try:
        return rerank_pb2.RerankRequest(
            query=texts["query"][0],
            candidates=[rerank_pb2.Candidate(id=i, text=text) for i, text in zip(ids, candidates, strict=True)],
            ranker=ranker,
            user_context=[
                common_pb2.Message(role=common_pb2.ROLE_USER, content=text) for text in texts.get("user_context", ())
            ],
            consent=_CONSENTS.get(str(consent), common_pb2.CONSENT_UNSPECIFIED),
            **fields,
        )
    except ValueError:
        raise InvalidArgument("top_n or seed is out of range", fields="top_n, seed") from None
