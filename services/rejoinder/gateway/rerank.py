"""`POST /v1/rerank` in three dialects: Cohere's and Jina's (`documents`), Text Embeddings Inference's (`texts`).

The score is the ranker's own. The slate is recorded by the rerank service before anybody sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rejoinder.clients.rerank import AsyncRerankClient, RerankAsk, Reranked
from rejoinder.core.clock import Clock
from rejoinder.core.errors import NotFound
from rejoinder.core.types import Interaction
from rejoinder.gateway.asked import said_of
from rejoinder.gateway.errors import BadParameter
from rejoinder.gateway.guard import Answer, HttpCall, json_object
from rejoinder.gateway.marks import FIELD, Marker

_COHERE = frozenset(
    {
        "model",
        "query",
        "documents",
        "top_n",
        "return_documents",
        "rank_fields",
        "max_chunks_per_doc",
        "max_tokens_per_doc",
        "priority",
        "user",
    }
)
_TEI = frozenset(
    {
        "query",
        "texts",
        "raw_scores",
        "return_text",
        "truncate",
        "truncation_direction",
        "user",
    }
)


@dataclass(frozen=True)
class _Asked:
    """ids: of the candidates, their places where the caller gave none."""

    query: str
    texts: tuple[str, ...]
    ids: tuple[str, ...]
    top_n: int = 0
    model: str = ""
    with_texts: bool = False
    raw_scores: bool = True
    tei: bool = False


class Rerank:
    """owns: nothing; client: None where no rerank service is set."""

    def __init__(self, client: AsyncRerankClient | None, marker: Marker, clock: Clock) -> None:
        self._client = client
        self._marker = marker
        self._clock = clock

    async def rerank(self, call: HttpCall) -> Answer:
        assert call.caller is not None
        if self._client is None:
            raise NotFound("this gateway has no rerank service")
        body = json_object(call)
        said = said_of(call.headers, body, call.caller, self._clock.now())
        asked = _tei(body) if "texts" in body else _cohere(body)
        ranked = await self._client.rerank(
            RerankAsk(
                query=asked.query,
                candidates=tuple(zip(asked.ids, asked.texts, strict=True)),
                tenant=said.tenant,
                interaction_id=said.interaction_id,
                conversation_id=said.conversation_id,
                conversation_started_at=said.conversation_started_at,
                user_id=said.user_id,
                top_n=asked.top_n,
                # `model` is another service's word for it: ours are rows of its table, asked for as they are called.
                ranker=asked.model.removeprefix("rejoinder/") if asked.model.startswith("rejoinder/") else "",
                consent=said.consent,
            ),
            max(0.001, call.deadline - self._clock.monotonic()),
        )
        return self._answer(asked, said, ranked)

    def _answer(self, asked: _Asked, said: Interaction, ranked: Reranked) -> Answer:
        marks = self._marker.of(said, ranked.interaction_id, [ranked.attempt_id], ranked.ranker)
        places = {id_: index for index, id_ in enumerate(asked.ids)}
        found = [(places[each.id], each.score) for each in ranked.ranked]
        if asked.tei:
            scores = [(index, score if asked.raw_scores else _sigmoid(score)) for index, score in found]
            rows = [
                {"index": index, "score": score, **({"text": asked.texts[index]} if asked.with_texts else {})}
                for index, score in scores
            ]
            return Answer(rows, headers=marks.headers)
        results = [
            {
                "index": index,
                "relevance_score": score,
                **({"document": {"text": asked.texts[index]}} if asked.with_texts else {}),
            }
            for index, score in found
        ]
        content = {
            "id": ranked.interaction_id,
            "model": ranked.ranker,
            "results": results,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
            "usage": {"total_tokens": 0, "prompt_tokens": 0},
            FIELD: marks.field,
        }
        return Answer(content, headers=marks.headers)


def _cohere(body: Mapping[str, Any]) -> _Asked:
    _check_known(body, _COHERE)
    documents = _listed(body, "documents")
    fields = body.get("rank_fields") or ["text"]
    if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
        raise BadParameter("rank_fields must be a list of names", "rank_fields", "invalid_type")
    texts, ids = [], []
    for number, document in enumerate(documents):
        text, id_ = document, str(number)
        if isinstance(document, Mapping):
            found = [document[name] for name in fields if isinstance(document.get(name), str)]
            text = "\n".join(found) if found else None
            id_ = document["id"] if isinstance(document.get("id"), str) else id_
        if not isinstance(text, str):
            raise BadParameter(
                "a document must be text, or an object with the fields to rank by", f"documents[{number}]"
            )
        texts.append(text)
        ids.append(id_)
    if len(set(ids)) < len(ids):
        raise BadParameter("two documents share an id", "documents")
    top_n = body.get("top_n")
    if top_n is not None and (isinstance(top_n, bool) or not isinstance(top_n, int) or top_n < 1):
        raise BadParameter("top_n must be a whole number above 0", "top_n", "invalid_type")
    model = body.get("model") or ""
    if not isinstance(model, str):
        raise BadParameter("model must be a string", "model", "invalid_type")
    return _Asked(
        _query(body),
        tuple(texts),
        tuple(ids),
        min(top_n or 0, len(texts)),
        model,
        with_texts=_flag(body, "return_documents"),
    )


def _tei(body: Mapping[str, Any]) -> _Asked:
    _check_known(body, _TEI)
    texts = _listed(body, "texts")
    if not all(isinstance(text, str) for text in texts):
        raise BadParameter("texts must be a list of strings", "texts", "invalid_type")
    ids = tuple(map(str, range(len(texts))))
    with_texts, raw = _flag(body, "return_text"), _flag(body, "raw_scores")
    return _Asked(_query(body), tuple(texts), ids, with_texts=with_texts, raw_scores=raw, tei=True)


def _sigmoid(score: float) -> float:
    # Of a number below zero, so that none is too large to be raised to.
    small = math.exp(-abs(score))
    return 1 / (1 + small) if score >= 0 else small / (1 + small)


def _check_known(body: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in body:
        if name not in known:
            raise BadParameter(f"Unknown parameter: {name[:64]!r}.", name[:64], "unknown_parameter")


def _listed(body: Mapping[str, Any], name: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list) or not value:
        raise BadParameter(f"{name} must be a list with at least one entry", name, "invalid_type")
    return value


def _query(body: Mapping[str, Any]) -> str:
    query = body.get("query")
    if not isinstance(query, str):
        raise BadParameter("query must be a string", "query", "invalid_type")
    return query


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadParameter(f"{name} must be a boolean", name, "invalid_type")
    return bool(value)
