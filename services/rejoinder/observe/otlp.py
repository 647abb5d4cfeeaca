"""Spans as OTLP sends them, protobuf or JSON, as plain values. Only attributes that may hold a chat are read.

Raises BadEncoding for what is no such request, TooLong for more spans than one may hold; what OTLP does not know of is
passed over, as it demands. A span that cannot be read is None: the others of its request are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError

from rejoinder.core.errors import BadEncoding, TooLong
from rejoinder.gateway.guard import json_of
from rejoinder.v1 import otlp_pb2

PROTOBUF, JSON = "application/x-protobuf", "application/json"
#: How attributes begin that are read; `spans.py` says which.
_READ = ("gen_ai.", "llm.", "openinference.", "session.", "user.", "enduser.", "content", "role")
#: Lists and maps in one another: nobody's messages are deeper.
_DEPTH = 32
_ERROR = 2
#: Of one request. A collector batches 8192 where nobody set it.
MAX_SPANS = 10_000
#: 5138 in nanoseconds: a clock beyond is none.
_LATEST_NS = 10**20


_S = TypeVar("_S")


@dataclass(frozen=True)
class Span:
    """id: of trace and span, "" where they are none. ended_at: seconds since the epoch. events: name and attributes."""

    id: str
    ended_at: float | None
    failed: bool
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]]


def spans_of(body: bytes, media: str) -> list[Span | None]:
    return list(_from_json(json_of(body)) if media == JSON else _from_protobuf(body))


def answer(rejected: int, message: str, media: str) -> bytes | dict[str, Any]:
    """An ExportTraceServiceResponse: of the request's own kind, and empty where all were taken."""
    if media == JSON:
        # int64 is text in protobuf's JSON.
        return {"partialSuccess": {"rejectedSpans": str(rejected), "errorMessage": message}} if rejected else {}
    told = otlp_pb2.ExportTraceServiceResponse()
    if rejected:
        told.partial_success.rejected_spans, told.partial_success.error_message = rejected, message
    return told.SerializeToString()


def _each(scopes: Iterable[Sequence[_S]], read: Callable[[_S], Span]) -> Iterator[Span | None]:
    count = 0
    for spans in scopes:
        # Before they are read.
        count += len(spans)
        if count > MAX_SPANS:
            raise TooLong("spans", count, MAX_SPANS, "items")
        for span in spans:
            try:
                yield read(span)
            except BadEncoding:
                yield None


# -- Protobuf.


def _from_protobuf(body: bytes) -> Iterator[Span | None]:
    try:
        request = otlp_pb2.ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise BadEncoding("the body is no ExportTraceServiceRequest", field="body") from None
    scopes = (scope for r in request.resource_spans for scope in r.scope_spans)
    return _each((scope.spans for scope in scopes), _protobuf_span)


def _protobuf_span(span: otlp_pb2.Span) -> Span:
    return Span(
        id=_id(span.trace_id.hex(), span.span_id.hex()),
        ended_at=_seconds(span.end_time_unix_nano),
        failed=span.status.code == _ERROR,
        attributes=_attributes(span.attributes),
        events=tuple((event.name, _attributes(event.attributes)) for event in span.events),
    )


def _attributes(pairs: Iterable[otlp_pb2.KeyValue], depth: int = 0) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth) for pair in pairs if depth or pair.key.startswith(_READ)}


def _value(value: otlp_pb2.AnyValue, depth: int) -> Any:
    if depth > _DEPTH:
        raise BadEncoding("an attribute is nested too deep", field="attributes")
    match value.WhichOneof("value"):
        case None | "bytes_value":
            return None
        case "array_value":
            return [_value(one, depth + 1) for one in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values, depth + 1)
        case plain:
            return getattr(value, plain)


# -- JSON: names in lowerCamelCase, ids in hexadecimal, numbers of 64 bits as text.


def _from_json(request: Mapping[str, Any]) -> Iterator[Span | None]:
    scopes = (scope for r in _objects(request, "resourceSpans") for scope in _objects(r, "scopeSpans"))
    return _each((_list(scope, "spans") for scope in scopes), _json_span)


def _json_span(span: Any) -> Span:
    if not isinstance(span, dict):
        raise BadEncoding("a span is no object", field="spans")
    status = span.get("status")
    return Span(
        id=_id(_text(span.get("traceId")).lower(), _text(span.get("spanId")).lower()),
        ended_at=_seconds(_whole(span.get("endTimeUnixNano"))),
        failed=isinstance(status, dict) and status.get("code") in (_ERROR, "STATUS_CODE_ERROR"),
        attributes=_json_attributes(span, "attributes"),
        events=tuple(
            (_text(event.get("name")), _json_attributes(event, "attributes")) for event in _objects(span, "events")
        ),
    )


def _json_attributes(of: Mapping[str, Any], name: str, depth: int = 0) -> dict[str, Any]:
    pairs = ((_text(pair.get("key")), pair.get("value")) for pair in _objects(of, name))
    return {key: _json_value(value, depth) for key, value in pairs if depth or key.startswith(_READ)}


def _json_value(value: Any, depth: int) -> Any:
    if depth > _DEPTH:
        raise BadEncoding("an attribute is nested too deep", field="attributes")
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("arrayValue"), dict):
        return [_json_value(one, depth + 1) for one in _objects(value["arrayValue"], "values")]
    if isinstance(value.get("kvlistValue"), dict):
        return _json_attributes(value["kvlistValue"], "values", depth + 1)
    if "intValue" in value:
        return _whole(value["intValue"])
    return next((value[kind] for kind in ("stringValue", "boolValue", "doubleValue") if kind in value), None)


def _objects(of: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = _list(of, name)
    if not all(isinstance(one, dict) for one in found):
        raise BadEncoding(f"{name} is no list of objects", field=name)
    return found


def _list(of: Mapping[str, Any], name: str) -> list[Any]:
    found = of.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadEncoding(f"{name} is no list", field=name)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    try:
        return int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else 0
    except ValueError:
        return 0


def _seconds(nanoseconds: int) -> float | None:
    # A span that did not end, or a clock that was never set. Compared before it is a float: JSON has numbers that are
    # none.
    return nanoseconds / 1e9 if 0 < nanoseconds < _LATEST_NS else None


def _id(trace: str, span: str) -> str:
    return f"{trace}.{span}" if trace.strip("0") and span.strip("0") else ""
