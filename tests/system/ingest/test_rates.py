"""How often a caller may call a real server: what it is told, that the SDK waits, and who is never limited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from rejoinder.clients import AsyncFeedbackClient, Connection
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import RateLimited
from rejoinder.core.types import Feedback, FollowUp
from rejoinder.runtime.settings import AuthSettings, RateSettings, ServerSettings

from tests.system.ingest.serving import Running, running

pytestmark = pytest.mark.system

_RECORD = "/rejoinder.v1.FeedbackService/RecordFeedback"
PRINCIPALS = """
- {principal: chat, token: app-token, roles: [app]}
- {principal: other, token: other-token, roles: [app]}
- {principal: ours, token: our-token, roles: [app, internal]}
"""


def settings(folder: Path | None, **rate: float) -> ServerSettings:
    """folder: of the list of callers; None asks nobody."""
    auth = AuthSettings()
    if folder is not None:
        file = folder / "principals.yaml"
        file.write_text(PRINCIPALS)
        auth = AuthSettings(file=file)
    return ServerSettings(grace_s=1.0, auth=auth, rate=RateSettings(**{"burst_s": 1.0, **rate}))


async def refusal(server: Running, token: str, payload: bytes = b"") -> tuple[str, str, float]:
    """(status, reason, seconds to wait) of a call with these bytes; "" where it was answered."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        await server.raw(_RECORD, payload, metadata=metadata)
        return "", "", 0.0
    except grpc.RpcError as failure:
        trailing = dict(failure.trailing_metadata())
        info, wait = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        for detail in status_pb2.Status.FromString(trailing["grpc-status-details-bin"]).details:
            _ = detail.Unpack(info) or detail.Unpack(wait)
        return failure.code().name, info.reason, wait.retry_delay.ToMilliseconds() / 1000


async def test_a_caller_over_its_rate_is_refused_before_its_request_is_read(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(server=settings(tmp_path, principal_per_s=0.25), clock=clock) as server:
        broken = b"\xff\xff\xff\xff"
        assert (await refusal(server, "app-token", broken))[1] == "BAD_ENCODING"
        limited = ("RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", 4.0)
        assert await refusal(server, "app-token", broken) == limited
        assert (await refusal(server, "guessed"))[0] == "UNAUTHENTICATED", "who it is comes first"
        assert (await refusal(server, "other-token", broken))[1] == "BAD_ENCODING", "nobody else waits"
        assert {(await refusal(server, "our-token", broken))[1] for _ in range(5)} == {"BAD_ENCODING"}
        assert server.metrics.value("rpc_limited_total", by="principal") == 1
        for _ in range(5):
            answered = await health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest())
            assert answered.status == health_pb2.HealthCheckResponse.SERVING
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
            assert [found async for found in stub.ServerReflectionInfo(iter([asked]))]
        clock.advance(4.0)
        assert (await refusal(server, "app-token", broken))[1] == "BAD_ENCODING"


async def test_where_nobody_is_asked_the_address_is_limited_and_a_bucket_is_of_its_process() -> None:
    clock = ManualClock()
    one, two = settings(None, address_per_s=0.5), settings(None, address_per_s=0.5)
    async with running(server=one, clock=clock) as first, running(server=two, clock=clock) as second:
        # Two replicas let twice as many pass: that is what is promised.
        assert [(await refusal(each, "", b"\xff"))[1] for each in (first, second)] == ["BAD_ENCODING"] * 2
        assert [(await refusal(each, ""))[1] for each in (first, second)] == ["RATE_LIMIT_EXCEEDED"] * 2


async def test_the_sdk_comes_again_when_it_is_told_to_and_a_single_try_says_why(tmp_path: Path) -> None:
    clock, said = ManualClock(), [Feedback(interaction_id="i", kind=FollowUp("no, in Celsius please"))]
    async with running(server=settings(tmp_path, principal_per_s=5.0, burst_s=0.1), clock=clock) as server:

        def client(tries: int) -> AsyncFeedbackClient:
            return AsyncFeedbackClient(Connection(server.target, token="app-token", tries=tries, deadline_s=60.0))

        async with client(1) as once, client(100) as patient:
            await once.record_feedback(said)
            with pytest.raises(RateLimited) as refused:
                await once.record_feedback(said)
            assert (refused.value.retry_after_s, refused.value.metadata) == (0.2, {"limit": "principal"})
            waiting = asyncio.create_task(patient.record_feedback(said))
            await until(lambda: server.metrics.value("rpc_limited_total", by="principal") >= 2)
            clock.advance(0.2)
            assert (await waiting)[0].recorded


async def until(seen: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not seen():
            await asyncio.sleep(0.01)
