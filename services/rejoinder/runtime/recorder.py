"""How served answers and slates reach the feedback service from a spool's thread.

An item that the service rejects is refused again however often it is sent: it is dropped and counted, never retried.
A request that is refused whole (too long) is halved until the item at fault stands alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import grpc

from rejoinder.core.codec import to_proto
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Interaction
from rejoinder.v1 import feedback_pb2, feedback_pb2_grpc

#: Statuses by which a request says that the same bytes will never be taken.
_NEVER = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED})


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
        request = feedback_pb2.RecordInteractionsRequest(events=[to_proto(event) for event in events])
        try:
            response = self._stub.RecordInteractions(request, timeout=self._timeout_s, metadata=self._metadata())
        except grpc.RpcError as error:
            code = error.code()
            if code not in _NEVER:
                raise LogUnavailable(f"the feedback service answered {code.name}") from None
            self._refused(events)
            return
        rejected = sum(result.outcome == feedback_pb2.RECORD_OUTCOME_REJECTED for result in response.results)
        if rejected:
            self._on_dropped(rejected)

    def close(self) -> None:
        self._channel.close()

    def _refused(self, events: Sequence[Interaction]) -> None:
        if len(events) == 1:
            self._on_dropped(1)
            return
        half = len(events) // 2
        self(events[:half])
        self(events[half:])

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        if self._token_file is None:
            return ()
        return (("authorization", f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"),)
