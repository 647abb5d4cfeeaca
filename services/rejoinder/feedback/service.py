"""The RPCs of feedback.proto: decode, call, encode."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage

from rejoinder.core import codec, types
from rejoinder.core.errors import FailedPrecondition, InvalidArgument, TooLong
from rejoinder.feedback.ingest import Ingest, ItemResult
from rejoinder.feedback.settings import LimitSettings
from rejoinder.feedback.validate import check_parts
from rejoinder.runtime.call import Call
from rejoinder.stream.port import NewRecord
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1 import error_reason_pb2, feedback_pb2, feedback_pb2_grpc

_OUTCOMES = {each: codec.enum_to_number(feedback_pb2.RecordOutcome.DESCRIPTOR, each) for each in types.RecordOutcome}
_RECORDED = _OUTCOMES[types.RecordOutcome.RECORDED]
_MAX_NAME_CHARS = 256

Item = TypeVar("Item", types.Interaction, types.Feedback, types.Label)


class FeedbackService(feedback_pb2_grpc.FeedbackServiceServicer):
    """owned_log: the log that workers beside this process follow, None when there is none to follow."""

    def __init__(self, ingest: Ingest, owned_log: SqliteLog | None, limits: LimitSettings = LimitSettings()) -> None:
        self._ingest = ingest
        self._limits = limits
        self._owned_log = owned_log

    async def RecordFeedback(
        self, request: feedback_pb2.RecordFeedbackRequest, call: Call
    ) -> feedback_pb2.RecordResponse:
        items = _decoded(request.events, types.Feedback, self._limits)
        results = await self._ingest.record("feedback", items, call)
        return _encoded(results)

    async def RecordInteractions(
        self, request: feedback_pb2.RecordInteractionsRequest, call: Call
    ) -> feedback_pb2.RecordResponse:
        items = _decoded(request.events, types.Interaction, self._limits)
        results = await self._ingest.record("interactions", items, call)
        return _encoded(results)

    async def RecordLabels(self, request: feedback_pb2.RecordLabelsRequest, call: Call) -> feedback_pb2.RecordResponse:
        items = _decoded(request.events, types.Label, self._limits)
        return _encoded(await self._ingest.record_labels(items, call))

    async def BeginEpoch(self, request: feedback_pb2.BeginEpochRequest, call: Call) -> feedback_pb2.BeginEpochResponse:
        _check_name("transactional_id", request.transactional_id)
        epoch = await asyncio.to_thread(self._followed().begin_epoch, request.transactional_id)
        return feedback_pb2.BeginEpochResponse(epoch=epoch)

    async def CommitStep(self, request: feedback_pb2.CommitStepRequest, call: Call) -> feedback_pb2.CommitStepResponse:
        for name, given in (("transactional_id", request.transactional_id), ("group", request.group)):
            _check_name(name, given)
        for record in request.records:
            _check_name("records.topic", record.topic)
        for offset in request.offsets:
            _check_name("offsets.topic", offset.topic)
        records = [
            NewRecord(r.topic, r.key, r.value, tuple((h.name, h.value) for h in r.headers)) for r in request.records
        ]
        offsets = {(o.topic, o.partition): o.offset for o in request.offsets}
        coordinates = await asyncio.to_thread(
            self._followed().commit_step, request.transactional_id, request.epoch, records, request.group, offsets
        )
        return feedback_pb2.CommitStepResponse(coordinates=[codec.to_proto(c) for c in coordinates])

    def _followed(self) -> SqliteLog:
        if self._owned_log is None:
            raise FailedPrecondition("this log is not followed through its owner")
        return self._owned_log


def _check_name(field: str, name: str) -> None:
    # An error quotes the name, and gRPC carries errors of a few kilobytes.
    if len(name) > _MAX_NAME_CHARS:
        raise TooLong(field, len(name), _MAX_NAME_CHARS, "characters")


def _decoded(
    events: Iterable[ProtoMessage], cls: type[Item], limits: LimitSettings
) -> list[tuple[str, Item | InvalidArgument]]:
    """(event id, event), the error in the event's place where it cannot be decoded."""
    out: list[tuple[str, Item | InvalidArgument]] = []
    for message in events:
        try:
            check_parts(message, limits)
            out.append((message.event_id, codec.from_proto(message, cls)))
        except InvalidArgument as error:
            out.append((message.event_id, error))
        except ValueError:
            # protobuf's own answer to a time beyond the year 9999.
            out.append((message.event_id, InvalidArgument("a time is beyond what can be told")))
    return out


def _encoded(results: Sequence[ItemResult]) -> feedback_pb2.RecordResponse:
    response = feedback_pb2.RecordResponse()
    for result in results:
        # An enum's hash is a call of its own, and nearly every item was recorded.
        outcome = _RECORDED if result.outcome is types.RecordOutcome.RECORDED else _OUTCOMES[result.outcome]
        item = response.results.add(event_id=result.event_id, interaction_id=result.interaction_id, outcome=outcome)
        if result.reason:
            item.reason = error_reason_pb2.ErrorReason.Value(f"ERROR_REASON_{result.reason}")
            item.field = result.field
        if result.coordinate is not None:
            at, told = result.coordinate, item.coordinate
            told.topic, told.partition, told.offset = at.topic, at.partition, at.offset
    return response
