"""Langfuse's exports (langfuse.com/docs: from the UI, to blob storage, by its API): traces, observations, scores.

A trace is an answered request, and so is each of its generations, as an attempt at it: take one of the two exports. A
score is a reaction to what it names, unless a judge gave it (`EVAL`). A numeric score names no scale, so it is kept and
nothing is concluded from it; a field map can give it one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rejoinder.core.types import Comment, Kind, Rating, Role
from rejoinder.observe.conversation import Exchange, Reacted
from rejoinder.observe.formats import fields
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.formats.messages import answer_of, messages_of

_TYPES = ("SPAN", "GENERATION", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING", "GUARDRAIL")
#: Fields of a trace that together are nobody else's.
_OF_TRACES = ("sessionId", "session_id", "userId", "user_id", "bookmarked", "htmlPath", "environment", "observations")


def looks(value: Any) -> bool:
    return _is_score(value) or _is_observation(value) or _is_trace(value)


def read(value: Any) -> Iterator[Exchange | Reacted]:
    record = fields.mapping(value, "record")
    if _is_score(record):
        yield from _reactions(
            record, _id(record, "traceId", "trace_id"), _id(record, "observationId", "observation_id")
        )
    elif _is_observation(record):
        if record["type"] == "GENERATION":
            trace = _id(record, "traceId", "trace_id")
            if not trace:
                raise Unfit("the observation names no trace")
            yield _exchange(record, trace, _id(record, "id"), record)
    elif _is_trace(record):
        trace = _id(record, "id")
        if not trace:
            raise Unfit("the trace has no id")
        yield _exchange(record, trace, "", _spoken(record))
        scores = record.get("scores")
        for score in scores if isinstance(scores, list) else ():
            if isinstance(score, Mapping) and score.get("id"):
                # The trace is the answer here, whichever of its steps was scored.
                yield from _reactions(score, trace, "")
    else:
        raise Unfit("no trace, observation or score")


def _is_score(value: Any) -> bool:
    named = "traceId" in value or "trace_id" in value
    return named and "source" in value and "name" in value and ("dataType" in value or "data_type" in value)


def _is_observation(value: Any) -> bool:
    return ("traceId" in value or "trace_id" in value) and "input" in value and value.get("type") in _TYPES


def _is_trace(value: Any) -> bool:
    return "input" in value and "output" in value and "timestamp" in value and any(key in value for key in _OF_TRACES)


def _spoken(trace: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where a trace's words stand: in itself, else in the last of its generations that it holds."""
    if trace.get("output") not in (None, ""):
        return trace
    held = trace.get("observations")
    held = [one for one in held if isinstance(one, Mapping)] if isinstance(held, list) else []
    generations = [one for one in held if one.get("type") == "GENERATION" and one.get("output") not in (None, "")]
    if not generations:
        raise Unfit("the trace has no output")
    return max(generations, key=lambda one: _at(one) or 0.0)


def _exchange(record: Mapping[str, Any], trace: str, attempt: str, spoken: Mapping[str, Any]) -> Exchange:
    messages = messages_of(spoken.get("input"), "input")
    if not any(message.role is Role.USER for message in messages):
        raise Unfit("nobody asked")
    if spoken.get("output") in (None, ""):
        raise Unfit("nobody answered")
    model = _id(spoken, "model", "providedModelName", "provided_model_name")
    return Exchange(
        id=trace,
        attempt=attempt,
        messages=messages,
        response=answer_of(spoken["output"], "output"),
        # A trace without a session is a conversation of its own.
        conversation=_id(record, "sessionId", "session_id") or trace,
        user=_id(record, "userId", "user_id"),
        model=model,
        at=_at(record),
    )


def _reactions(score: Mapping[str, Any], trace: str, attempt: str) -> Iterator[Reacted]:
    identity = _id(score, "id")
    if score.get("source") == "EVAL" or not trace:
        # What a judge thinks is no reaction, and what is about a session or a data set is about no answer.
        return
    if not identity:
        raise Unfit("the score has no id")
    at, kind = _at(score), _kind(score)
    if kind is not None:
        yield Reacted(identity, trace, attempt, kind, at)
    comment = score.get("comment")
    if isinstance(comment, str) and comment.strip():
        yield Reacted(f"{identity}.comment", trace, attempt, Comment(fields.text(comment, "comment")), at)


def _kind(score: Mapping[str, Any]) -> Kind | None:
    name, said = _id(score, "name"), score.get("stringValue", score.get("string_value"))
    match score.get("dataType", score.get("data_type")):
        case "TEXT":
            return Comment(fields.text(said, "string_value")) if said else None
        case "CATEGORICAL":
            return Rating(name=name, category=fields.text(said, "string_value")) if said else None
        case "BOOLEAN":
            return Rating(name=name, number=_number(score), scale_min=0.0, scale_max=1.0)
    return Rating(name=name, number=_number(score))


def _number(score: Mapping[str, Any]) -> float:
    return fields.number(score.get("value"), "value")


def _at(record: Mapping[str, Any]) -> float | None:
    named = ("timestamp", "startTime", "start_time")
    return next((moment for name in named if (moment := fields.moment(record.get(name))) is not None), None)


def _id(record: Mapping[str, Any], *names: str) -> str:
    return next((found for name in names if (found := fields.identity(record.get(name)))), "")
