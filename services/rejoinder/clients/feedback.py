"""Recording what was answered and what users did about it. OK means the log has it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message as ProtoMessage

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.ids import uuid7
from rejoinder.core.types import Coordinate, Feedback, Interaction, Label, RecordOutcome
from rejoinder.v1 import error_reason_pb2, feedback_pb2

_FEEDBACK = Rpc("/rejoinder.v1.FeedbackService/RecordFeedback", feedback_pb2.RecordResponse)
_LABELS = Rpc("/rejoinder.v1.FeedbackService/RecordLabels", feedback_pb2.RecordResponse)
_INTERACTIONS = Rpc("/rejoinder.v1.FeedbackService/RecordInteractions", feedback_pb2.RecordResponse)

#: What one request holds: the server's default limits, with room for what surrounds the items.
_MAX_ITEMS = 1000
_MAX_BYTES = 8 * 1024 * 1024

Event = TypeVar("Event", Feedback, Interaction)


@dataclass(frozen=True)
class RecordResult:
    """What became of one event, in the order they were given.

    outcome: RECORDED and DUPLICATE mean that the log has it. reason: an ErrorReason without its prefix, "" unless
    rejected; field: the one at fault.
    """

    event_id: str
    interaction_id: str
    outcome: RecordOutcome
    reason: str
    field: str
    coordinate: Coordinate | None

    @property
    def recorded(self) -> bool:
        return self.outcome in (RecordOutcome.RECORDED, RecordOutcome.DUPLICATE)


class FeedbackClient(SyncClient):
    """Records events. Ids that are empty are made here, before the first try, so that retries count once."""

    def record_feedback(self, events: Sequence[Feedback], deadline_s: float | None = None) -> list[RecordResult]:
        """Raises LogUnavailable, QueueFull, … when the log did not take a request; earlier requests stay recorded."""
        return [
            result
            for request in _requests(feedback_pb2.RecordFeedbackRequest, with_ids(events))
            for result in _results(self._channel.call(_FEEDBACK, request, deadline_s))
        ]

    def record_interactions(self, events: Sequence[Interaction], deadline_s: float | None = None) -> list[RecordResult]:
        """As record_feedback."""
        return [
            result
            for request in _requests(feedback_pb2.RecordInteractionsRequest, with_ids(events))
            for result in _results(self._channel.call(_INTERACTIONS, request, deadline_s))
        ]

    def record_labels(self, labels: Sequence[Label]) -> list[RecordResult]:
        """As record_feedback, of at most 1,000. Role: admin."""
        return list(_results(self._channel.call(_LABELS, _labelling(labels))))


class AsyncFeedbackClient(AsyncClient):
    """As FeedbackClient."""

    async def record_feedback(self, events: Sequence[Feedback], deadline_s: float | None = None) -> list[RecordResult]:
        return [
            result
            for request in _requests(feedback_pb2.RecordFeedbackRequest, with_ids(events))
            for result in _results(await self._channel.call(_FEEDBACK, request, deadline_s))
        ]

    async def record_interactions(
        self, events: Sequence[Interaction], deadline_s: float | None = None
    ) -> list[RecordResult]:
        return [
            result
            for request in _requests(feedback_pb2.RecordInteractionsRequest, with_ids(events))
            for result in _results(await self._channel.call(_INTERACTIONS, request, deadline_s))
        ]

    async def record_labels(self, labels: Sequence[Label]) -> list[RecordResult]:
        return list(_results(await self._channel.call(_LABELS, _labelling(labels))))


def _labelling(labels: Sequence[Label]) -> feedback_pb2.RecordLabelsRequest:
    """With a name for each, so that a retry is the same label."""
    named = [label if label.event_id else dataclasses.replace(label, event_id=uuid7()) for label in labels]
    return feedback_pb2.RecordLabelsRequest(events=[codec.to_proto(label, feedback_pb2.Label()) for label in named])


def with_ids(events: Sequence[Event]) -> list[Event]:
    """The events with a UUIDv7 where an event id is empty."""
    return [event if event.event_id else dataclasses.replace(event, event_id=uuid7()) for event in events]


def _requests(cls: type[ProtoMessage], events: Sequence[Event]) -> Iterator[ProtoMessage]:
    request, size = cls(), 0
    for event in events:
        message = codec.to_proto(event)
        bytes_ = message.ByteSize()
        if request.events and (len(request.events) >= _MAX_ITEMS or size + bytes_ > _MAX_BYTES):
            yield request
            request, size = cls(), 0
        request.events.append(message)
        size += bytes_
    if request.events:
        yield request


def _results(response: feedback_pb2.RecordResponse) -> Iterator[RecordResult]:
    outcomes = feedback_pb2.RecordOutcome.DESCRIPTOR
    for item in response.results:
        reason = error_reason_pb2.ErrorReason.Name(item.reason).removeprefix("ERROR_REASON_") if item.reason else ""
        yield RecordResult(
            item.event_id,
            item.interaction_id,
            codec.enum_from_number(outcomes, RecordOutcome, item.outcome, "outcome"),
            reason,
            item.field,
            codec.from_proto(item.coordinate, Coordinate) if item.HasField("coordinate") else None,
        )
