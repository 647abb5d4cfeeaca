"""The owner of a log, as workers beside it call it: records and consumer positions in one step. Role: internal.

Nothing here is repeated by itself: after an error the worker takes its transactional id anew and looks at the committed
positions, which settles whether the step was taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rejoinder.clients.base import SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.types import Coordinate
from rejoinder.v1 import common_pb2, feedback_pb2

_COMMIT = Rpc("/rejoinder.v1.FeedbackService/CommitStep", feedback_pb2.CommitStepResponse, idempotent=False)
_BEGIN = Rpc("/rejoinder.v1.FeedbackService/BeginEpoch", feedback_pb2.BeginEpochResponse, idempotent=False)


class RecordToAppend(Protocol):
    """A record as `stream.port.NewRecord` has it."""

    @property
    def topic(self) -> str: ...

    @property
    def key(self) -> bytes: ...

    @property
    def value(self) -> bytes: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@dataclass(frozen=True)
class OwnerAppended:
    """As `stream.port.Appended`; the owner does not look for second copies of derived records: the ledger does."""

    outcome: str
    coordinate: Coordinate


class LogOwnerClient(SyncClient):
    """A `stream.follower.Appender` over gRPC."""

    def append(self, records: Sequence[RecordToAppend]) -> list[OwnerAppended]:
        return [OwnerAppended("recorded", c) for c in self.commit_step("", 0, records, "", {})]

    def begin_epoch(self, transactional_id: str) -> int:
        """The new epoch; older holders are fenced."""
        return self._channel.call(_BEGIN, feedback_pb2.BeginEpochRequest(transactional_id=transactional_id)).epoch

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[RecordToAppend],
        group: str,
        offsets: Mapping[tuple[str, int], int],
    ) -> list[Coordinate]:
        """All or nothing, durable on return. Raises Fenced for an old epoch."""
        request = feedback_pb2.CommitStepRequest(
            transactional_id=transactional_id,
            epoch=epoch,
            records=[
                feedback_pb2.LogRecord(
                    topic=r.topic,
                    key=r.key,
                    value=r.value,
                    headers=[feedback_pb2.Header(name=name, value=value) for name, value in r.headers],
                )
                for r in records
            ],
            group=group,
            offsets=[
                common_pb2.Coordinate(topic=topic, partition=partition, offset=offset)
                for (topic, partition), offset in offsets.items()
            ],
        )
        response = self._channel.call(_COMMIT, request)
        return [codec.from_proto(c, Coordinate) for c in response.coordinates]
