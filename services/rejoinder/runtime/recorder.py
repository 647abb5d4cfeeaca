"""How served answers and slates reach the feedback service from a spool's thread.

An item that the service rejects is refused again however often it is sent: it is dropped and counted, never retried.
A request that is refused whole is halved until the item at fault stands alone. gRPC itself refuses a message beyond its
limit, as RESOURCE_EXHAUSTED without a reason of ours: the same status that a proxy gives to whoever comes too often, so
a lone item is dropped for it only where an empty request gets through at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import grpc

from rejoinder.clients.channel import connected
from rejoinder.clients.connection import Connection, Tls
from rejoinder.clients.current import CurrentChannel
from rejoinder.core.codec import to_proto
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Interaction
from rejoinder.runtime.status import reason_in
from rejoinder.v1 import error_reason_pb2, events_pb2, feedback_pb2, feedback_pb2_grpc

#: Statuses by which a request says that the same bytes will never be taken.
_NEVER = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED})
#: Bytes of one request, unless a single item is larger: a quarter of what gRPC takes by default, so of what proxies do.
MAX_BYTES = 1024 * 1024


class FeedbackSender:
    """`send` of a spool, of one thread. owns: the channel, and which events of a call that failed need not come again.

    address: a gRPC target; token_file: bearer token, read at every call. tls: None = clear text. on_dropped: told of
    items refused for good.
    """

    def __init__(
        self,
        address: str,
        on_dropped: Callable[[int], None],
        token_file: Path | None = None,
        tls: Tls | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._on_dropped = on_dropped
        self._token_file = token_file
        self._timeout_s = timeout_s
        self._settled: set[tuple[str, str]] = set()
        self._channel = CurrentChannel(tls, partial(connected, grpc, Connection(address, tls)))

    def __call__(self, events: Sequence[Interaction]) -> None:
        """Returns when the log has every event that it will take. Raises LogUnavailable: send them again.

        Of those only what is still missing goes out: another replica does not know a second copy and charges it to a
        quota, so two tenants of one batch, or two requests, could take turns for ever.
        """
        left = [to_proto(event) for event in events if (event.tenant, event.event_id) not in self._settled]
        for part in _parts(left):
            self._send(part)
        self._settled.clear()

    def close(self) -> None:
        for channel in self._channel.close():
            channel.close()

    def _send(self, events: Sequence[events_pb2.Interaction]) -> None:
        try:
            response = self._ask(events)
        except grpc.RpcError as error:
            code = error.code()
            if code not in _NEVER and not _beyond_grpc(error):
                raise _away(code) from None
            if len(events) > 1:
                half = len(events) // 2
                self._send(events[:half])
                self._send(events[half:])
                return
            if code not in _NEVER and not self._takes_an_empty_one():
                raise _away(code) from None
            self._settle(events)
            self._on_dropped(1)
            return
        over = [result.reason == error_reason_pb2.ERROR_REASON_QUOTA for result in response.results]
        self._settle([event for event, waits in zip(events, over, strict=True) if not waits])
        refused = sum(result.outcome == feedback_pb2.RECORD_OUTCOME_REJECTED for result in response.results)
        if refused > sum(over):
            self._on_dropped(refused - sum(over))
        if any(over):
            raise LogUnavailable("the feedback service took only a part: over a quota")

    def _settle(self, events: Sequence[events_pb2.Interaction]) -> None:
        self._settled.update((event.tenant, event.event_id) for event in events if event.event_id)

    def _takes_an_empty_one(self) -> bool:
        """Whether the service answers a request that cannot be too large: it says that nothing is in it."""
        try:
            self._ask(())
        except grpc.RpcError as error:
            return error.code() in _NEVER
        return True

    def _ask(self, events: Sequence[events_pb2.Interaction]) -> feedback_pb2.RecordResponse:
        request = feedback_pb2.RecordInteractionsRequest(events=events)
        channel = self._channel.take()
        try:
            stub = feedback_pb2_grpc.FeedbackServiceStub(channel)
            return stub.RecordInteractions(request, timeout=self._timeout_s, metadata=self._metadata())
        finally:
            for ended in self._channel.release(channel):
                ended.close()

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token_file is None:
            return ()
        return (("authorization", f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"),)


def _parts(events: Sequence[events_pb2.Interaction]) -> Iterator[list[events_pb2.Interaction]]:
    """In their order, each part of at most MAX_BYTES or of one event."""
    part: list[events_pb2.Interaction] = []
    size = 0
    for event in events:
        if part and size + event.ByteSize() > MAX_BYTES:
            yield part
            part, size = [], 0
        part.append(event)
        size += event.ByteSize()
    if part:
        yield part


def _beyond_grpc(error: grpc.RpcError) -> bool:
    return error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and not reason_in(error.trailing_metadata() or ())


def _away(code: grpc.StatusCode) -> LogUnavailable:
    return LogUnavailable(f"the feedback service answered {code.name}")
