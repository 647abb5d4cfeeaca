"""`POST /v1/traces`: OTLP over HTTP, acknowledged when the log has the chats that its spans hold.

Spans without a chat are taken and counted. Those that cannot be read, or whose chat was not taken, are a partial
success, as OTLP has it: an exporter does not send them again. 429 and 503 say when to come back: then it does, under
the same ids.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from google.protobuf import json_format
from google.rpc import code_pb2, status_pb2

from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import RecordOutcome
from rejoinder.gateway.errors import UnsupportedMedia, error_body
from rejoinder.gateway.guard import Answer, HttpCall, media_of
from rejoinder.observe import otlp
from rejoinder.observe.events import ImportAs, exchanged
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.mapped import Event
from rejoinder.observe.posted import Taking, Told, tenant_of
from rejoinder.observe.spans import exchange_of
from rejoinder.runtime.call import LOCAL


class Traced:
    """target: whose events they become. owns: nothing."""

    def __init__(self, taking: Taking, target: ImportAs, tenant: str) -> None:
        self._taking = taking
        self._target = target
        self._tenant = tenant

    async def traces(self, call: HttpCall) -> Answer:
        media = media_of(call.headers)
        if media not in (otlp.PROTOBUF, otlp.JSON):
            raise UnsupportedMedia(f"content-type must be {otlp.PROTOBUF} or {otlp.JSON}", field="content-type")
        tenant = tenant_of(call, self._tenant)
        # Apart: a batch of spans takes as long as many a request.
        found = await asyncio.to_thread(self._found, call.body, media)
        for one in found:
            self._count(one)
        told = await self._taking.deliver(found, tenant, call.caller or LOCAL, call.deadline)
        rejected = [one.reason for one in told if one.outcome == RecordOutcome.REJECTED.value]
        message = f"{len(rejected)} chats were not taken: {', '.join(sorted(set(rejected)))}" if rejected else ""
        return Answer(otlp.answer(len(rejected), message, media), media=media)

    def _found(self, body: bytes, media: str) -> list[Sequence[Event] | Told]:
        return [self._read(span) for span in otlp.spans_of(body, media)]

    def _read(self, span: otlp.Span | None) -> Sequence[Event] | Told:
        try:
            if span is None:
                raise Unfit("no span")
            one = exchange_of(span)
            return Told("SKIPPED") if one is None else tuple(exchanged(one, self._target))
        except (Unfit, RejoinderError, RecursionError):
            # Whatever is odd about it, the others of its batch are not.
            return Told(RecordOutcome.REJECTED.value, "INVALID_ARGUMENT")

    def _count(self, one: Sequence[Event] | Told) -> None:
        if not isinstance(one, Told):
            self._taking.count("mapped")
        elif one.outcome == RecordOutcome.REJECTED.value:
            self._taking.unmapped("unusable")
        else:
            self._taking.count("skipped")


def as_status(error: RejoinderError) -> tuple[str, bytes]:
    """A refusal as exporters of protobuf read it."""
    return otlp.PROTOBUF, _status(error).SerializeToString()


def as_json_status(error: RejoinderError) -> tuple[str, bytes]:
    return otlp.JSON, json.dumps(json_format.MessageToDict(_status(error))).encode()


def _status(error: RejoinderError) -> status_pb2.Status:
    # What an OpenAI client is told: of an unforeseen error nothing.
    message = error_body(error)["error"]["message"]
    return status_pb2.Status(code=code_pb2.Code.Value(error.status), message=message)
