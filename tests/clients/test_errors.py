from __future__ import annotations

import grpc
import pytest
from rejoinder.cli.supervisor import free_ports
from rejoinder.clients.connection import Connection
from rejoinder.clients.errors import UNSENT, error_of
from rejoinder.clients.reward import AsyncRewardClient
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
        # The caller itself did not end it: it would not read an answer.
        (grpc.StatusCode.CANCELLED, errors.Unavailable),
        (grpc.StatusCode.UNIMPLEMENTED, RejoinderError),
        (grpc.StatusCode.UNKNOWN, RejoinderError),
    ],
)
def test_a_status_that_something_on_the_way_made_has_the_class_of_its_branch(
    code: grpc.StatusCode, cls: type[RejoinderError]
) -> None:
    heard = error_of(Failed(code, "connection refused"))
    assert (type(heard), heard.message, heard.metadata) == (cls, "connection refused", {"grpc_status": code.name})


async def test_a_call_that_no_connection_could_carry_is_known_by_what_grpc_says() -> None:
    """gRPC's own words, so they are asked of it: other ones in a later version would show here."""
    connection = Connection(f"ipv4:127.0.0.1:{free_ports(1)[0]}", deadline_s=5.0, tries=1)
    client = AsyncRewardClient(connection)
    with pytest.raises(errors.Unavailable) as raised:
        await client.heads()
    await client.close()
    assert raised.value.metadata.items() >= UNSENT.items()
    broken = error_of(Failed(grpc.StatusCode.UNAVAILABLE, "Stream removed (Socket closed)"))
    assert "sent" not in broken.metadata


def test_a_reason_of_a_later_version_falls_back_to_its_status() -> None:
    class Later(errors.NotFound):
        reason = "LATER"

    heard = error_of(Failed(*status_of(Later("x"))))
    assert isinstance(heard, errors.NotFound)
