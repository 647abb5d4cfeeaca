from __future__ import annotations

import grpc
import pytest
from rejoinder.clients.errors import error_of
from rejoinder.core import errors
from rejoinder.core.errors import RejoinderError
from rejoinder.runtime.status import status_of


class Failed(grpc.RpcError):
    """A failed call as a channel raises it."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, bytes], ...] = ()) -> None:
        self._parts = (code, details, trailing)

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return self._parts[2]


RAISED = (
    errors.EmptyField("events"),
    errors.TooLong("events", 1001, 1000, "items"),
    errors.UnknownRow("ranker", "x", ("y",)),
    errors.NotFound("no such policy", policy="assist"),
    errors.PolicyFrozen("frozen"),
    errors.QueueFull("full", retry_after_s=0.25, limit=7),
    errors.Draining("going"),
    errors.Fenced("newer epoch"),
    errors.DeadlineExceeded("late"),
    errors.Unauthenticated("who"),
    errors.ForeignTenant("not yours"),
    errors.DataLoss("digest"),
)


@pytest.mark.parametrize("raised", RAISED, ids=lambda error: error.reason)
def test_what_a_server_raises_is_what_a_caller_catches(raised: RejoinderError) -> None:
    heard = error_of(Failed(*status_of(raised)))
    assert type(heard) is type(raised)
    assert (heard.message, heard.metadata, heard.retry_after_s) == (
        raised.message,
        raised.metadata,
        raised.retry_after_s,
    )


@pytest.mark.parametrize(
    ("code", "cls"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ResourceExhausted),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.UNIMPLEMENTED, RejoinderError),
        (grpc.StatusCode.UNKNOWN, RejoinderError),
    ],
)
def test_a_status_that_something_on_the_way_made_has_the_class_of_its_branch(
    code: grpc.StatusCode, cls: type[RejoinderError]
) -> None:
    heard = error_of(Failed(code, "connection refused"))
    assert (type(heard), heard.message, heard.metadata) == (cls, "connection refused", {"grpc_status": code.name})


def test_a_reason_of_a_later_version_falls_back_to_its_status() -> None:
    class Later(errors.NotFound):
        reason = "LATER"

    heard = error_of(Failed(*status_of(Later("x"))))
    assert isinstance(heard, errors.NotFound)
