"""observe/traced, observe/otlp: protobuf and JSON alike, what an exporter is told, and the events of a posted turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from google.rpc import status_pb2
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import body_digest
from rejoinder.core.errors import BadEncoding, QueueFull, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Interaction
from rejoinder.gateway.errors import UnsupportedMedia
from rejoinder.observe import otlp
from rejoinder.observe.events import ImportAs
from rejoinder.observe.posted import Taking
from rejoinder.observe.traced import Traced, as_json_status, as_status
from rejoinder.v1 import otlp_pb2

from tests.observe.test_posted import ASKED, HISTORY, Log, call, posted, turn

SECOND = 1_000_000_000
REFUSED = {"rejectedSpans": "1", "errorMessage": "1 chats were not taken: INVALID_ARGUMENT"}


def request(*spans: Any) -> bytes:
    """OTLP's JSON."""
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}).encode()


def as_protobuf(body: bytes) -> bytes:
    """The same request as protobuf: what stands in both is the same."""
    out = otlp_pb2.ExportTraceServiceRequest()
    spans = out.resource_spans.add().scope_spans.add().spans
    for span in json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        made = spans.add(trace_id=bytes.fromhex(span["traceId"]), span_id=bytes.fromhex(span["spanId"]))
        made.end_time_unix_nano = int(span["endTimeUnixNano"])
        for pair in span["attributes"]:
            _fill(made.attributes.add(key=pair["key"]).value, pair["value"])
    return out.SerializeToString()


def _fill(value: otlp_pb2.AnyValue, given: Mapping[str, Any]) -> None:
    ((kind, said),) = given.items()
    match kind:
        case "stringValue":
            value.string_value = said
        case "intValue":
            value.int_value = int(said)
        case "arrayValue":
            for one in said["values"]:
                _fill(value.array_value.values.add(), one)
        case "kvlistValue":
            for pair in said["values"]:
                _fill(value.kvlist_value.values.add(key=pair["key"]).value, pair["value"])


def structured(value: Any) -> dict[str, Any]:
    """A value of any shape as OTLP's JSON has it."""
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, list):
        return {"arrayValue": {"values": [structured(one) for one in value]}}
    return {"kvlistValue": {"values": [{"key": key, "value": structured(one)} for key, one in value.items()]}}


def span(name: str, messages: list[dict[str, Any]], answer: str, number: int = 1, **more: Any) -> dict[str, Any]:
    parts = [{"role": one["role"], "parts": [{"type": "text", "content": one["content"]}]} for one in messages]
    said = {
        "gen_ai.operation.name": "chat",
        "gen_ai.response.id": name,
        "gen_ai.response.model": "m",
        "gen_ai.conversation.id": "c",
        "user.id": "u",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.input.messages": parts,
        "gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": answer}]}],
        **more,
    }
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "endTimeUnixNano": str(1_700_000_000 * SECOND),
        "attributes": [{"key": key, "value": structured(value)} for key, value in said.items()],
    }


def traced(log: Log) -> Traced:
    return Traced(Taking(log, ManualClock(0.0), Metrics()), ImportAs(source="observe:chat"), "default")


async def test_spans_posted_turns_and_a_topic_make_the_same_events_of_the_same_turns() -> None:
    """Of a topic and a posted turn: test_posted."""
    turns = [turn("r1", ASKED, "68 F"), turn("r2", HISTORY, "20 C")]
    spans = request(span("r1", ASKED, "68 F"), span("r2", HISTORY, "20 C", 2))
    logs = [Log(), Log(), Log()]
    await posted(logs[0]).turns(call({"turns": turns}))
    assert (await traced(logs[1]).traces(call(spans, otlp.JSON))).content == {}
    assert (await traced(logs[2]).traces(call(as_protobuf(spans), otlp.PROTOBUF))).content == b""
    first, *others = [{name: body_digest(event) for name, event in log.events.items()} for log in logs]
    assert len(first) == 3
    assert others == [first, first]


async def test_a_span_without_an_answers_id_is_called_by_trace_and_span() -> None:
    log = Log()
    body = request(span("", ASKED, "68 F", 9))
    for media, data in ((otlp.JSON, body), (otlp.PROTOBUF, as_protobuf(body))):
        await traced(log).traces(call(data, media))
    (answer,) = log.events.values()
    assert isinstance(answer, Interaction)
    assert answer.interaction_id == f"{9:032x}.{9:016x}"


async def test_what_was_not_taken_is_a_partial_success_and_what_is_no_chat_is_none() -> None:
    log = Log()
    broken = span("r2", ASKED, "x", 2, **{"gen_ai.input.messages": [{"role": "secret", "parts": []}]})
    plain = {"traceId": "01", "spanId": "02", "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}]}
    body = request(span("r1", ASKED, "68 F"), broken, plain, span("r1", ASKED, "another", 3))
    told = await traced(log).traces(call(body, otlp.JSON))
    said = told.content["partialSuccess"]
    assert said["rejectedSpans"] == "2"
    assert said["errorMessage"] == "2 chats were not taken: EVENT_ID_CONFLICT, INVALID_ARGUMENT"
    assert len(log.events) == 1
    told = await traced(log).traces(call(as_protobuf(request(broken)), otlp.PROTOBUF))
    answer = otlp_pb2.ExportTraceServiceResponse.FromString(told.content)
    assert (told.media, answer.partial_success.rejected_spans) == (otlp.PROTOBUF, 1)
    assert "secret" not in answer.partial_success.error_message
    assert (await traced(log).traces(call(b"", otlp.PROTOBUF))).content == b""


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "x"


async def test_one_odd_span_is_counted_and_the_others_are_taken() -> None:
    good, odd = span("r1", ASKED, "68 F"), span("r2", ASKED, "x", 2)
    late = {**span("r3", ASKED, "x", 3), "endTimeUnixNano": "1" + "0" * 400}
    no_chat = span("r4", ASKED, "x", 4, **{"gen_ai.operation.name": ["chat"]})
    cases = [
        (span("r2", ASKED, "x", 2, **{"gen_ai.prompt": nested(40)}), True),
        (span("r2", ASKED, "x", 2, **{"gen_ai.output.messages": '[{"role": "assistant", "parts": [{"ty'}), True),
        (no_chat, False),
    ]
    for one, refused in cases:
        for media, body in ((otlp.JSON, request(one, good)), (otlp.PROTOBUF, as_protobuf(request(one, good)))):
            log = Log()
            told = (await traced(log).traces(call(body, media))).content
            if media == otlp.JSON:
                assert told == ({"partialSuccess": REFUSED} if refused else {})
            else:
                answer = otlp_pb2.ExportTraceServiceResponse.FromString(told)
                assert answer.partial_success.rejected_spans == refused
            assert [event.interaction_id for event in log.events.values()] == ["r1"]
    # What protobuf cannot hold.
    log = Log()
    odd["attributes"].append(7)
    told = await traced(log).traces(call(request(7, odd, late, good), otlp.JSON))
    assert told.content["partialSuccess"]["rejectedSpans"] == "2"
    assert {event.interaction_id: event.occurred_at for event in log.events.values()} == {"r1": 1.7e9, "r3": None}


async def test_a_request_of_more_spans_than_one_may_hold_is_refused_in_either_kind() -> None:
    for count in (otlp.MAX_SPANS, otlp.MAX_SPANS + 1):
        protobuf = otlp_pb2.ExportTraceServiceRequest()
        for spans in (protobuf.resource_spans.add().scope_spans.add().spans for _ in range(2)):
            spans.extend([otlp_pb2.Span()] * (count // 2))
        spans.extend([otlp_pb2.Span()] * (count % 2))
        one = [{"scopeSpans": [{"spans": [{}] * part}]} for part in (count // 2, count - count // 2)]
        for media, body in (
            (otlp.PROTOBUF, protobuf.SerializeToString()),
            (otlp.JSON, json.dumps({"resourceSpans": one}).encode()),
        ):
            if count > otlp.MAX_SPANS:
                with pytest.raises(TooLong, match="spans is 10001 items, the limit is 10000"):
                    otlp.spans_of(body, media)
            else:
                assert len(otlp.spans_of(body, media)) == count


async def test_others_are_served_while_spans_are_read() -> None:
    other = asyncio.ensure_future(asyncio.sleep(0))
    await traced(Log()).traces(call(request(span("r1", ASKED, "68 F")), otlp.JSON))
    assert other.done()


async def test_what_is_no_request_is_refused_and_the_refusal_is_a_status() -> None:
    deep: Any = "x"
    for _ in range(60):
        deep = [deep]
    for data, media, error in (
        (b"\xff\xff", otlp.PROTOBUF, BadEncoding),
        (b"[]", otlp.JSON, BadEncoding),
        (b'{"resourceSpans": 1}', otlp.JSON, BadEncoding),
        (b'{"resourceSpans": [{"scopeSpans": [1]}]}', otlp.JSON, BadEncoding),
        (b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}', otlp.JSON, BadEncoding),
        (b"{}", "text/plain", UnsupportedMedia),
        (as_protobuf(request(span("r", ASKED, "x", **{"gen_ai.prompt": deep[0]}))), otlp.PROTOBUF, BadEncoding),
    ):
        with pytest.raises(error) as raised:
            await traced(Log()).traces(call(data, media))
        media, body = as_status(raised.value)
        assert (media, status_pb2.Status.FromString(body).code) == (otlp.PROTOBUF, 3)
    assert json.loads(as_json_status(QueueFull("no room", retry_after_s=1.0))[1]) == {"code": 8, "message": "no room"}


def test_fields_of_other_kinds_are_nothing() -> None:
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 1, "spanId": null, "endTimeUnixNano": "x",'
    body += b'"status": 2, "events": [{"name": 3}], "attributes": [{"key": "user.id", "value": {"intValue": "7"}},'
    body += b'{"key": "user.name", "value": 1}, {"key": "user.x"}, {"key": 4}]}]}]}], "more": 1}'
    (one,) = otlp.spans_of(body, otlp.JSON)
    assert one == otlp.Span("", None, False, {"user.id": 7, "user.name": None, "user.x": None}, (("", {}),))
