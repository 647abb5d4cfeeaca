"""How served answers and slates reach the feedback service from a spool's thread.

An item that the service rejects is refused again however often it is sent: it is dropped and counted, never retried.
A request that is refused whole is halved until the item at fault stands alone. gRPC itself refuses a message beyond its
limit, as RESOURCE_EXHAUSTED without a reason of ours: the same status that a proxy gives to whoever comes too often, so
a lone item is dropped for it only where an empty request gets through at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import grpc

from rejoinder.core.codec import to_proto
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Interaction
from rejoinder.runtime.status import reason_in
from rejoinder.v1 import events_pb2, feedback_pb2, feedback_pb2_grpc

#: Statuses by which a request says that the same bytes will never be taken.
_NEVER = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED})
#: Bytes of one request, unless a single item is larger: a quarter of what gRPC takes by default, so of what proxies do.
MAX_BYTES = 1024 * 1024


class FeedbackSender:
    """`send` of a spool. owns: the channel. address: host:port; token_file: bearer token, read at every call.

    ca_file: PEM roots of the service's certificate, None = clear text. on_dropped: told of items refused for good.
    """

    def __init__(
        self,
        address: str,
        on_dropped: Callable[[int], None],
        token_file: Path | None = None,
        ca_file: Path | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        self._on_dropped = on_dropped
        self._token_file = token_file
        self._timeout_s = timeout_s
        if ca_file is None:
            self._channel = grpc.insecure_channel(address)
        else:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca_file.read_bytes()))
        self._stub = feedback_pb2_grpc.FeedbackServiceStub(self._channel)

    def __call__(self, events: Sequence[Interaction]) -> None:
        """Returns when the log has every event that it will take. Raises LogUnavailable: send them again."""
        for part in _parts([to_proto(event) for event in events]):
            self._send(part)

    def close(self) -> None:
        self._channel.close()

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
            self._on_dropped(1)
            return
        rejected = sum(result.outcome == feedback_pb2.RECORD_OUTCOME_REJECTED for result in response.results)
        if rejected:
            self._on_dropped(rejected)

    def _takes_an_empty_one(self) -> bool:
        """Whether the service answers a request that cannot be too large: it says that nothing is in it."""
        try:
            self._ask(())
        except grpc.RpcError as error:
            return error.code() in _NEVER
        return True

    def _ask(self, events: Sequence[events_pb2.Interaction]) -> feedback_pb2.RecordResponse:
        request = feedback_pb2.RecordInteractionsRequest(events=events)
        return self._stub.RecordInteractions(request, timeout=self._timeout_s, metadata=self._metadata())

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
