"""Every row of the error table, provoked over gRPC and read back by the SDK as the class that was raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import grpc
import pytest
from rejoinder.clients import AsyncFeedbackClient
from rejoinder.clients.channel import AsyncChannel, Rpc
from rejoinder.core import errors
from rejoinder.core.clock import ManualClock, SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, FollowUp, RecordOutcome
from rejoinder.feedback.settings import FeedbackSettings, LimitSettings
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import AuthSettings, ServerSettings
from rejoinder.stream.headers import event_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1 import common_pb2, feedback_pb2

from tests.patient import Patient
from tests.system.ingest.serving import FailingLog, HeldLog, Lines, Running, room_of, running

pytestmark = pytest.mark.system

BEGIN = Rpc("/rejoinder.v1.FeedbackService/BeginEpoch", feedback_pb2.BeginEpochResponse)
COMMIT = Rpc("/rejoinder.v1.FeedbackService/CommitStep", feedback_pb2.CommitStepResponse)
DAY = 86_400.0


def said(event_id: str = "", text: str = "no, in Celsius please", **fields: object) -> Feedback:
    return Feedback(event_id=event_id, interaction_id="i", kind=FollowUp(text), **fields)


async def failure(work: Awaitable[object]) -> RejoinderError:
    with pytest.raises(RejoinderError) as raised:
        await work
    return raised.value


def once(server: Running, token: str = "", deadline_s: float = 60.0) -> AsyncFeedbackClient:
    """A client that does not repeat, so that the first answer is seen."""
    return AsyncFeedbackClient(Patient(server.target, tries=1, token=token, deadline_s=deadline_s))


async def call(server: Running, rpc: Rpc, request: object) -> object:
    channel = AsyncChannel(Patient(server.target, tries=1))
    try:
        return await channel.call(rpc, request)
    finally:
        await channel.close()


async def test_a_request_to_be_mended_is_invalid_argument_and_names_field_and_limit() -> None:
    async with running(settings=FeedbackSettings(limits=LimitSettings(max_items=2))) as server:
        async with once(server) as client:
            error = await failure(client.record_feedback([said()] * 3))
    assert isinstance(error, errors.TooLong)
    assert (error.metadata["field"], error.metadata["limit"]) == ("events", "2")


async def test_a_row_that_does_not_exist_is_named_with_its_kind(tmp_path: Path) -> None:
    log = SqliteLog(str(tmp_path / "log.db"), LogSettings(), SystemClock())
    async with running(log) as server:
        record = feedback_pb2.LogRecord(topic="gossip", key=b"k", value=b"v")
        error = await failure(call(server, COMMIT, feedback_pb2.CommitStepRequest(records=[record])))
    log.close()
    assert isinstance(error, errors.UnknownRow)
    assert error.metadata["kind"] == "topic"


async def test_what_is_not_there_is_not_found() -> None:
    async with running(FailingLog(errors.NotFound("no such partition"))) as server, once(server) as client:
        assert type(await failure(client.record_feedback([said()]))) is errors.NotFound


async def test_a_log_that_is_not_followed_is_failed_precondition() -> None:
    async with running(MemoryLog(SystemClock())) as server:
        error = await failure(call(server, BEGIN, feedback_pb2.BeginEpochRequest(transactional_id="w")))
    assert isinstance(error, errors.FailedPrecondition)


async def test_the_call_above_the_bound_is_refused_at_once_with_a_delay_and_the_first_is_served() -> None:
    log = HeldLog()
    async with running(log, ServerSettings(max_in_flight=1, retry_after_s=0.7)) as server, once(server) as client:
        first = asyncio.create_task(client.record_feedback([said("1")]))
        await until(lambda: log.waiting == 1)
        error = await failure(client.record_feedback([said("2")]))
        log.release()
        assert (await first)[0].recorded
    assert isinstance(error, errors.QueueFull)
    assert error.retry_after_s == pytest.approx(0.7)


async def test_a_full_queue_of_the_log_is_resource_exhausted_with_the_logs_own_delay() -> None:
    full = FailingLog(errors.QueueFull("too much waits", retry_after_s=1.5))
    async with running(full) as server, once(server) as client:
        error = await failure(client.record_feedback([said()]))
    assert isinstance(error, errors.QueueFull)
    assert error.retry_after_s == pytest.approx(1.5)


async def test_a_quota_is_not_asked_again_within_its_period() -> None:
    async with running(FailingLog(errors.Quota("used up"))) as server:
        async with AsyncFeedbackClient(Patient(server.target, tries=5)) as client:
            assert isinstance(await failure(client.record_feedback([said()])), errors.Quota)
        assert server.metrics.value("rpc_errors_total", method=_RECORD, reason="QUOTA") == 1


_RECORD = "/rejoinder.v1.FeedbackService/RecordFeedback"


async def test_a_log_that_is_away_is_unavailable_and_acknowledges_nothing() -> None:
    async with running(FailingLog(errors.LogUnavailable("the disk is away"))) as server, once(server) as client:
        assert isinstance(await failure(client.record_feedback([said()])), errors.LogUnavailable)


async def test_while_models_load_calls_are_refused_as_loading_and_health_says_not_serving() -> None:
    loaded = asyncio.Event()

    async def build(chassis: Chassis) -> Room:
        await loaded.wait()
        return room_of(MemoryLog(SystemClock()), FeedbackSettings(), chassis)

    lines, metrics = Lines(), Metrics()
    server = Server(ServerSettings(grace_s=0.5), build, Chassis("feedback", SystemClock(), metrics, lines.log))
    starting = asyncio.create_task(server.start())
    await until(lambda: server.port != 0)
    async with AsyncFeedbackClient(Patient(f"127.0.0.1:{server.port}", tries=1)) as client:
        error = await failure(client.record_feedback([said()]))
        assert isinstance(error, errors.Loading)
        assert error.retry_after_s
        loaded.set()
        await starting
        assert (await client.record_feedback([said()]))[0].recorded
    await server.drain()


async def test_an_older_epoch_is_aborted_as_fenced(tmp_path: Path) -> None:
    log = SqliteLog(str(tmp_path / "log.db"), LogSettings(), SystemClock())
    async with running(log) as server:
        begin = feedback_pb2.BeginEpochRequest(transactional_id="worker-0")
        old = (await call(server, BEGIN, begin)).epoch
        new = (await call(server, BEGIN, begin)).epoch
        step = partial(feedback_pb2.CommitStepRequest, transactional_id="worker-0", group="signals")
        offsets = [common_pb2.Coordinate(topic="feedback", partition=0, offset=0)]
        error = await failure(call(server, COMMIT, step(epoch=old, offsets=offsets)))
        await call(server, COMMIT, step(epoch=new, offsets=offsets))
    log.close()
    assert isinstance(error, errors.Fenced)


async def test_a_deadline_that_passes_in_our_queue_ends_the_call_and_frees_its_slot() -> None:
    while not await _passes_in_our_queue():
        # The second was over before the call had come to the log: it was in no queue of ours.
        pass


async def _passes_in_our_queue() -> bool:
    """False where the call never was there."""
    log = HeldLog()
    async with running(log, ServerSettings(max_in_flight=1)) as server:

        def ended() -> float:
            # The caller's clock began first: what reaches us may be its leaving instead of our own deadline.
            statuses = ("DEADLINE_EXCEEDED", "CANCELLED")
            return sum(server.metrics.value("rpc_s", method=_RECORD, status=status) for status in statuses)

        async with once(server, deadline_s=1.0) as client:
            first = asyncio.create_task(failure(client.record_feedback([said()])))
            await until(lambda: log.waiting == 1 or first.done())
            if not log.waiting:
                return False
            assert isinstance(await first, errors.DeadlineExceeded)
        await until(lambda: ended() == 1)
        assert server.metrics.value("rpc_in_flight") == 0
        # The write that was under way is not undone: it is what unacked_stored counts. Others' writes go on.
        log.release()
        async with once(server) as client:
            second = asyncio.create_task(client.record_feedback([said()]))
            await until(lambda: log.waiting == 1)
            log.release()
            assert (await second)[0].recorded
    return True


async def test_a_call_without_a_deadline_ends_at_the_servers_own() -> None:
    async with running(HeldLog(), ServerSettings(max_call_s=0.2, grace_s=1.0)) as server:
        request = feedback_pb2.RecordFeedbackRequest()
        request.events.add(follow_up={"text": "no"})
        with pytest.raises(grpc.RpcError) as raised:
            await asyncio.wait_for(server.channel.unary_unary(_RECORD)(request.SerializeToString()), 60)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


TOKENS = """
- {principal: app, token: app-token, roles: [app]}
- {principal: acme, token: acme-token, roles: [app], tenants: [acme]}
"""


@pytest.fixture
def guarded(tmp_path: Path) -> ServerSettings:
    file = tmp_path / "principals.yaml"
    file.write_text(TOKENS)
    return ServerSettings(grace_s=1.0, auth=AuthSettings(file=file))


@pytest.mark.parametrize("token", ["", "app-tokem", "é"])
async def test_no_or_bad_credentials_are_unauthenticated(guarded: ServerSettings, token: str) -> None:
    async with running(server=guarded) as server:
        metadata = (("authorization", f"Bearer {token}".encode("latin-1", "replace").decode("ascii", "ignore")),)
        with pytest.raises(grpc.RpcError) as raised:
            await server.raw(_RECORD, b"", metadata=metadata if token else ())
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert token == "" or token not in raised.value.details()


async def test_a_role_that_a_method_does_not_take_is_permission_denied(guarded: ServerSettings) -> None:
    async with running(server=guarded) as server:
        channel = AsyncChannel(Patient(server.target, token="app-token", tries=1))
        error = await failure(channel.call(BEGIN, feedback_pb2.BeginEpochRequest(transactional_id="w")))
        await channel.close()
    assert isinstance(error, errors.RoleMissing)
    assert error.metadata["needs"] == "internal"


@pytest.mark.parametrize(
    ("token", "tenants", "allowed"),
    [
        ("app-token", ("",), True),
        ("app-token", ("default",), True),
        ("app-token", ("acme",), False),
        ("acme-token", ("acme",), True),
        ("acme-token", ("acme", "acme", ""), False),
    ],
)
async def test_a_caller_speaks_for_its_own_tenants_in_every_item(
    guarded: ServerSettings, token: str, tenants: tuple[str, ...], allowed: bool
) -> None:
    log = MemoryLog(SystemClock())
    async with running(log, guarded) as server, once(server, token) as client:
        asked = client.record_feedback([said(tenant=tenant) for tenant in tenants])
        if allowed:
            assert all(result.recorded for result in await asked)
        else:
            assert isinstance(await failure(asked), errors.ForeignTenant)
            assert sum(log.end_offsets("feedback").values()) == 0


async def test_a_principal_that_a_caller_claims_is_overwritten_and_so_is_its_acceptance(
    guarded: ServerSettings,
) -> None:
    clock = ManualClock()
    log = MemoryLog(clock, partitions=1)
    async with running(log, guarded, clock=clock) as server, once(server, "app-token") as client:
        await client.record_feedback([said(principal="admin", accepted_at=clock.now() - 5 * DAY)])
    event = event_of(log.read("feedback", 0, 0)[0])
    assert (event.principal, event.accepted_at) == ("app", clock.now())


async def test_data_loss_reaches_the_caller_and_the_log() -> None:
    async with running(FailingLog(errors.DataLoss("a digest differs"))) as server, once(server) as client:
        assert isinstance(await failure(client.record_feedback([said()])), errors.DataLoss)
        assert "reason=DATA_LOSS" in server.lines.text


async def test_the_unforeseen_is_internal_without_a_word_of_it() -> None:
    broken = FailingLog(ValueError("no, in Celsius please"))
    async with running(broken) as server, once(server) as client:
        error = await failure(client.record_feedback([said()]))
        assert "Celsius" not in server.lines.text
        assert "stack=ValueError(" in server.lines.text
        assert "ingest.py" in server.lines.text
    assert (type(error), error.message) == (RejoinderError, "internal error")


Outcome = tuple[RecordOutcome, str]


async def outcomes(events: list[Feedback], clock: ManualClock) -> list[Outcome]:
    async with running(MemoryLog(clock), clock=clock) as server, once(server) as client:
        return [(r.outcome, r.reason) for event in events for r in await client.record_feedback([event])]


Expect = Callable[[ManualClock], list[Feedback]]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (lambda _: [said("a"), said("a")], [("RECORDED", ""), ("DUPLICATE", "")]),
        (lambda _: [said("a"), said("a", "yes")], [("RECORDED", ""), ("REJECTED", "EVENT_ID_CONFLICT")]),
        (lambda _: [said("a", tenant="x"), said("a", tenant="y")], [("RECORDED", ""), ("RECORDED", "")]),
        (lambda _: [said("a"), said("a", tenant="default")], [("RECORDED", ""), ("DUPLICATE", "")]),
        (lambda c: [said("a", accepted_at=c.now() - 39 * DAY - 1)], [("REJECTED", "EXPIRED")]),
        (lambda c: [said("a", accepted_at=c.now() - 38 * DAY)], [("RECORDED", "")]),
    ],
    ids=["same body", "another body", "another tenant", "the default tenant by name", "too old", "just young enough"],
)
async def test_outcomes_of_items_are_ok_with_a_reason(events: Expect, expected: list[tuple[str, str]]) -> None:
    clock = ManualClock()
    assert await outcomes(events(clock), clock) == expected


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)
