"""runtime/recorder: nothing that the log would take waits behind what it never will (F06)."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import EmptyField, LogUnavailable, QueueFull, Quota
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Interaction
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.recorder import MAX_BYTES, FeedbackSender
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.runtime.spool import Spool, SpoolSettings
from rejoinder.v1 import error_reason_pb2, feedback_pb2, feedback_pb2_grpc

pytestmark = pytest.mark.system

#: Of the service: gRPC itself refuses at twice as much.
LIMIT = 64 * 1024


class Log(feedback_pb2_grpc.FeedbackServiceServicer):
    """A feedback service. owns: the ids it has, the sizes of what came, and how many calls it is still too busy for."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.sizes: list[int] = []
        self.busy = 0
        #: Whose turn it is, request by request; None: everybody's. refuses_from: the first request that is refused.
        self.only: Iterator[str] | None = None
        self.refuses_from: int | None = None
        self.address = ""

    async def RecordInteractions(self, request: feedback_pb2.RecordInteractionsRequest, call: object) -> object:
        self.sizes.append(request.ByteSize())
        if self.busy:
            self.busy -= 1
            raise QueueFull("the writer has enough to do")
        if not request.events:
            raise EmptyField("events")
        if self.refuses_from is not None and len(self.sizes) >= self.refuses_from:
            raise Quota("over a quota", retry_after_s=0.1, limit="tenant")
        turn = next(self.only, "") if self.only is not None else ""
        response = feedback_pb2.RecordResponse()
        for event in request.events:
            if self.only is not None and event.tenant != turn:
                response.results.add(
                    outcome=feedback_pb2.RECORD_OUTCOME_REJECTED, reason=error_reason_pb2.ERROR_REASON_QUOTA
                )
                continue
            bad = event.interaction_id.startswith("bad")
            response.results.add(
                outcome=feedback_pb2.RECORD_OUTCOME_REJECTED if bad else feedback_pb2.RECORD_OUTCOME_RECORDED
            )
            if not bad:
                self.stored.append(event.interaction_id)
        return response


class Limited(grpc.aio.ServerInterceptor):
    """A proxy that says RESOURCE_EXHAUSTED in its own words to whoever comes too often."""

    async def intercept_service(self, continuation: object, details: object) -> grpc.RpcMethodHandler:
        async def refuse(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "slow down")
            raise AssertionError("abort returns to nobody")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Dropped:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, count: int) -> None:
        self.count += count


async def served(log: Log, limit: int) -> tuple[Server, str]:
    async def build(chassis: Chassis) -> Room:
        return Room(add=(partial(feedback_pb2_grpc.add_FeedbackServiceServicer_to_server, log),))

    events = EventLog(logging.Logger("feedback", logging.CRITICAL))
    server = Server(
        ServerSettings(grace_s=1.0, max_message_bytes=limit),
        build,
        Chassis("feedback", SystemClock(), Metrics(), events),
    )
    await server.start()
    return server, f"127.0.0.1:{server.port}"


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    made = Log()
    server, made.address = await served(made, LIMIT)
    yield made
    await server.drain()


def answers(sizes: Sequence[int], name: str = "i") -> list[Interaction]:
    return [Interaction(interaction_id=f"{name}{n}", response="x" * size) for n, size in enumerate(sizes)]


async def sent(address: str, events: Sequence[Interaction]) -> int:
    """How many were dropped. Raises what the sender raises."""
    dropped = Dropped()
    sender = FeedbackSender(address, dropped, timeout_s=60.0)
    try:
        await asyncio.to_thread(sender, events)
    finally:
        sender.close()
    return dropped.count


async def test_a_batch_beyond_grpcs_own_limit_arrives_in_parts(log: Log) -> None:
    assert await sent(log.address, answers([30_000] * 20)) == 0
    assert log.stored == [f"i{n}" for n in range(20)]


async def test_an_answer_beyond_grpcs_own_limit_is_dropped_and_counted_and_the_others_arrive(log: Log) -> None:
    assert await sent(log.address, answers([10, 10, 3 * LIMIT, 10])) == 1
    assert log.stored == ["i0", "i1", "i3"]


async def test_a_spool_is_emptied_though_its_next_batch_is_beyond_the_limit(log: Log, tmp_path: Path) -> None:
    dropped = Dropped()
    sender = FeedbackSender(log.address, dropped, timeout_s=60.0)
    spool = Spool(tmp_path, SpoolSettings(retry_s=0.01), sender, dropped)
    try:
        for event in answers([30_000] * 9 + [3 * LIMIT] + [30_000] * 10):
            await asyncio.wrap_future(spool.put(event))
        assert await asyncio.to_thread(spool.drain, 60.0)
    finally:
        await asyncio.to_thread(spool.close)
        sender.close()
    assert (len(set(log.stored)), dropped.count) == (19, 1)


async def test_what_is_refused_for_a_reason_of_ours_is_kept_whole_and_sent_again(log: Log) -> None:
    log.busy = 1
    with pytest.raises(LogUnavailable, match="RESOURCE_EXHAUSTED"):
        await sent(log.address, answers([10, 10]))
    assert (log.stored, len(log.sizes)) == ([], 1)
    assert await sent(log.address, answers([10, 10])) == 0
    assert log.stored == ["i0", "i1"]


async def test_a_proxy_that_slows_everybody_down_makes_nobody_drop_anything() -> None:
    server = grpc.aio.server(interceptors=[Limited()])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        with pytest.raises(LogUnavailable):
            await sent(address, answers([10, 10, 10]))
    finally:
        await server.stop(None)


async def test_a_rejected_item_is_counted_and_stops_nothing(log: Log) -> None:
    assert await sent(log.address, answers([10], "bad") + answers([10, 10])) == 1
    assert log.stored == ["i0", "i1"]


async def test_a_request_holds_a_bounded_number_of_bytes() -> None:
    log = Log()
    server, address = await served(log, 16 * MAX_BYTES)
    try:
        assert await sent(address, answers([MAX_BYTES // 4] * 10 + [2 * MAX_BYTES, 10])) == 0
    finally:
        await server.drain()
    assert len(log.stored) == 12
    assert sorted(log.sizes)[-2] <= MAX_BYTES * 1.01
    assert len(log.sizes) == 6


async def test_nobody_there_means_send_again() -> None:
    with pytest.raises(LogUnavailable, match="UNAVAILABLE"):
        await sent("127.0.0.1:1", answers([10]))


async def test_what_is_over_a_quota_is_sent_again_and_what_was_taken_or_refused_for_good_is_not(log: Log) -> None:
    """A duplicate is charged too: two tenants of one batch whose turns alternate would never both be through."""
    log.only = itertools.cycle("ab")
    batch = [
        Interaction(tenant=tenant, event_id="e", interaction_id=name, response="x")
        for tenant, name in (("a", "of a"), ("b", "of b"), ("a", "bad"))
    ]
    dropped = Dropped()
    sender = FeedbackSender(log.address, dropped, timeout_s=60.0)
    with pytest.raises(LogUnavailable, match="quota"):
        await asyncio.to_thread(sender, batch)
    await asyncio.to_thread(sender, batch)
    assert (log.stored, dropped.count) == (["of a", "of b"], 1)
    # Done with: the next batch is another, whatever its ids.
    await asyncio.to_thread(sender, batch[:1])
    assert log.stored == ["of a", "of b", "of a"]
    sender.close()


async def test_a_request_that_was_taken_does_not_go_out_again_because_the_next_one_was_not(log: Log) -> None:
    batch = [replace(event, event_id=event.interaction_id) for event in answers([LIMIT // 2] * 30)]
    log.refuses_from = 2
    sender = FeedbackSender(log.address, Dropped(), timeout_s=60.0)
    with pytest.raises(LogUnavailable):
        await asyncio.to_thread(sender, batch)
    assert 0 < len(log.stored) < 30
    log.refuses_from = None
    await asyncio.to_thread(sender, batch)
    assert log.stored == [event.event_id for event in batch]
    sender.close()
