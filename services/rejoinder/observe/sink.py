"""Where what was read goes: the feedback service for events, its log's owner or Kafka for dead letters. What was posted
goes to the service within its call's time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.feedback import AsyncFeedbackClient, FeedbackClient, RecordResult
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core import codec
from rejoinder.core.errors import (
    BadSettings,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Quota,
    ResourceExhausted,
    TooLong,
)
from rejoinder.core.types import Feedback, Interaction, RecordOutcome
from rejoinder.gateway.guard import TRACE
from rejoinder.observe.mapped import Event
from rejoinder.observe.settings import IntoTheme
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import NewRecord

#: What a service's `server.max_message_bytes` is by default: gRPC itself answers to twice as much, and like a service
#: that is busy.
_LARGEST = 16 << 20
#: Outcome and reason of one event.
Told = tuple[RecordOutcome, str]
#: Bytes of one request of dead letters, at most one letter more.
_REQUEST_BYTES = 4 << 20


class ServiceSink:
    """An `observer.Sink`. owns: its channels, and the log on Kafka where dead letters go there."""

    def __init__(self, into: IntoTheme) -> None:
        # Few tries: who waits for a service that is away also keeps the membership of its group alive.
        connection = Connection(into.feedback, into.tls, token_in(into.token_file), deadline_s=30.0, tries=2)
        self._client = FeedbackClient(connection)
        self._owner = LogOwnerClient(connection)
        self._role_checked = False
        self._append: Callable[[Sequence[NewRecord]], object]
        self._close: Callable[[], None]
        if into.log == "kafka":
            log = kafka_log(into.kafka.model_dump(), "rejoinder-observe")
            self._append, self._close = lambda records: log.append(records).result(), log.close
        else:
            self._append, self._close = self._owner.append, lambda: None

    def record(self, topic: str, events: Sequence[Event]) -> Sequence[Told]:
        """Raises what the service answers; what was taken by then is a duplicate the next time. BadSettings for a token
        without role internal."""
        self._check_role()
        send = self._client.record_interactions if topic == "interactions" else self._client.record_feedback
        told = self._sent(send, events)
        _check_admitted(reason for _, reason in told)
        return told

    def _check_role(self) -> None:
        """Before the first event: to anybody else the service gives the moment of reading as `accepted_at`, without a
        word, and what is read again after an erasure would come back."""
        if self._role_checked:
            return
        try:
            # A step of nothing, which only that role may ask for.
            self._owner.append([])
        except PermissionDenied:
            raise BadSettings("into.token_file holds a token without role internal", field="into.token_file") from None
        except FailedPrecondition:
            # The role is there; the service keeps its log on Kafka, where nobody follows it.
            pass
        self._role_checked = True

    def _sent(self, send: Callable[..., Sequence[RecordResult]], events: Sequence[Event]) -> Sequence[Told]:
        """One that our format cannot hold, or no request, is refused by itself: it must neither keep the others from
        being taken nor end each process that reads it."""
        try:
            return [(result.outcome, result.reason) for result in send(events)]
        except (ArithmeticError, ValueError, InvalidArgument) as error:
            if len(events) == 1:
                reason = error.reason if isinstance(error, InvalidArgument) else InvalidArgument.reason
                return [(RecordOutcome.REJECTED, reason)]
            half = len(events) // 2
            return [*self._sent(send, events[:half]), *self._sent(send, events[half:])]
        except ResourceExhausted:
            large = {number for number, event in enumerate(events) if codec.to_proto(event).ByteSize() > _LARGEST}
            if not large:
                raise
            others = iter(self._sent(send, [event for number, event in enumerate(events) if number not in large]))
            refused = (RecordOutcome.REJECTED, TooLong.reason)
            return [refused if number in large else next(others) for number in range(len(events))]

    def bury(self, letters: Sequence[NewRecord]) -> None:
        for part in _parts(letters):
            self._append(part)

    def close(self) -> None:
        self._client.close()
        self._owner.close()
        self._close()


def _check_admitted(reasons: Iterable[str]) -> None:
    """Raises Quota where one is above a quota: that is told of each event, and no event's own fault. All are sent again
    later; those that were taken are duplicates then, and not charged."""
    if Quota.reason in reasons:
        raise Quota("events come faster than their quota", retry_after_s=1.0)


class CallSink:
    """A `posted.Sink`. owns: its channel."""

    def __init__(self, into: IntoTheme) -> None:
        # Few tries: the caller tries again too, and knows its own patience.
        connection = Connection(into.feedback, into.tls, token_in(into.token_file), tries=2, traceparent=TRACE.get)
        self._client = AsyncFeedbackClient(connection)

    async def record(self, events: Sequence[Event], deadline_s: float) -> list[tuple[RecordOutcome, str, str]]:
        """events: of one kind. Raises what the service answers; what was taken by then is a duplicate the next time."""
        answers = isinstance(events[0], Interaction)
        send = self._client.record_interactions if answers else self._client.record_feedback
        told = await self._sent(send, events, deadline_s)  # type: ignore[arg-type]
        _check_admitted(reason for _, reason, _ in told)
        return told

    async def _sent(
        self,
        send: Callable[[Sequence[Interaction | Feedback], float], Awaitable[list[RecordResult]]],
        events: Sequence[Event],
        deadline_s: float,
    ) -> list[tuple[RecordOutcome, str, str]]:
        """One that our format cannot hold is refused by itself, as ServiceSink does."""
        try:
            return [(result.outcome, result.reason, result.field) for result in await send(events, deadline_s)]
        except (ArithmeticError, ValueError, InvalidArgument) as error:
            if len(events) == 1:
                reason = error.reason if isinstance(error, InvalidArgument) else InvalidArgument.reason
                return [(RecordOutcome.REJECTED, reason, "")]
            half = len(events) // 2
            first = await self._sent(send, events[:half], deadline_s)
            return [*first, *await self._sent(send, events[half:], deadline_s)]

    async def close(self) -> None:
        await self._client.close()


def _parts(letters: Sequence[NewRecord]) -> Iterator[list[NewRecord]]:
    part: list[NewRecord] = []
    size = 0
    for letter in letters:
        part.append(letter)
        size += len(letter.value)
        if size >= _REQUEST_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
