from __future__ import annotations

import asyncio
import io
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rejoinder.core.clock import Clock, ManualClock, SystemClock
from rejoinder.core.errors import BadSettings, LogReplaced, PortBusy
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.logging import EventLog, LineFormatter
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import AuthSettings, ServerSettings, TlsSettings
from rejoinder.v1 import reward_pb2, reward_pb2_grpc

pytestmark = pytest.mark.system


class Steps:
    """A room that says what happens to it, and fails where it is told to. owns: the list of what happened."""

    def __init__(self, failing: str = "") -> None:
        self.seen: list[str] = []
        self._failing = failing

    async def step(self, name: str) -> None:
        self.seen.append(name)
        if name == self._failing:
            raise LogReplaced("another log than before")

    def named(self, name: str) -> Callable[[], Awaitable[None]]:
        return lambda: self.step(name)

    async def work(self, stop: asyncio.Event) -> None:
        await self.step("background")
        await stop.wait()
        self.seen.append("background ended")

    def add(self, server: object) -> None:
        reward_pb2_grpc.add_RewardServiceServicer_to_server(Heads(), server)

    async def build(self, chassis: Chassis) -> Room:
        await self.step("build")
        return Room(
            (self.add,), self.named("warm_up"), (self.work,), flush=self.named("flush"), close=self.named("close")
        )


class Heads(reward_pb2_grpc.RewardServiceServicer):
    async def ListHeads(self, request: object, call: object) -> reward_pb2.ListHeadsResponse:
        return reward_pb2.ListHeadsResponse(heads=[reward_pb2.Head(name="default")])


def server_of(steps: Steps, clock: Clock | None = None, **settings: object) -> tuple[Server, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter("reward"))
    logger = logging.Logger("rejoinder.reward")
    logger.addHandler(handler)
    chassis = Chassis("reward", clock or SystemClock(), Metrics(), EventLog(logger))
    return Server(ServerSettings(grace_s=1.0, **settings), steps.build, chassis), stream


async def heads(port: int) -> list[str]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = await reward_pb2_grpc.RewardServiceStub(channel).ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)
        return [head.name for head in answer.heads]


async def test_a_room_is_built_warmed_up_served_and_let_go_in_order() -> None:
    steps = Steps()
    server, _ = server_of(steps, metrics_port=0)
    await server.start()
    assert await heads(server.port) == ["default"]
    await server.drain()
    assert steps.seen == ["build", "warm_up", "background", "background ended", "flush", "close"]
    assert server.failure is None


async def test_calls_are_taken_until_their_callers_have_left() -> None:
    """Who has not heard yet calls on; nobody is refused before it has stopped, or leave_s is over."""
    server, _ = server_of(Steps(), leave_s=60.0)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub, health = reward_pb2_grpc.RewardServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        # Who watches is given a second without a call.
        watch = health.Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        await stub.ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)
        draining = asyncio.create_task(server.drain())
        answered = 0
        while answered < 20:
            await stub.ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)
            told = await health.Check(health_pb2.HealthCheckRequest(), timeout=60)
            answered += told.status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await draining


async def test_a_pause_of_the_process_is_no_silence_of_its_callers() -> None:
    server, _ = server_of(Steps(), leave_s=60.0)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = reward_pb2_grpc.RewardServiceStub(channel)
        await stub.ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)
        draining = asyncio.create_task(server.drain())
        await asyncio.sleep(0)
        # As a busy machine does it: nobody here runs, for longer than callers may be silent.
        time.sleep(0.3)
        await stub.ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)
        await draining


async def test_a_clock_that_stands_still_does_not_keep_a_server_from_its_end() -> None:
    server, _ = server_of(Steps(), ManualClock())
    await server.start()
    async with asyncio.timeout(20):
        await server.drain()


async def test_a_caller_that_watches_is_given_longer_to_hear() -> None:
    """On a busy machine the word takes a while, and who calls seldom is not gone because nothing came for a moment."""
    server, _ = server_of(Steps(), leave_s=5.0)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        began = time.monotonic()
        draining = asyncio.create_task(server.drain())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        await draining
    assert time.monotonic() - began >= 1.0


async def test_who_never_leaves_is_refused_in_the_end() -> None:
    server, _ = server_of(Steps(), leave_s=0.2)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = reward_pb2_grpc.RewardServiceStub(channel)
        draining = asyncio.create_task(server.drain())
        while not draining.done():
            with suppress(grpc.RpcError):
                await stub.ListHeads(reward_pb2.ListHeadsRequest(), timeout=60)


async def test_a_flush_that_fails_does_not_keep_the_backend_open_and_is_told() -> None:
    steps = Steps(failing="flush")
    server, lines = server_of(steps)
    await server.start()
    await server.drain()
    assert steps.seen[-1] == "close"
    assert isinstance(server.failure, LogReplaced)
    assert "event=last_step_failed" in lines.getvalue()


async def test_a_background_that_fails_asks_for_the_drain() -> None:
    steps = Steps(failing="background")
    server, lines = server_of(steps)
    await server.start()
    await asyncio.wait_for(server.failed.wait(), 60)
    await server.drain()
    assert isinstance(server.failure, LogReplaced)
    assert "event=background_failed reason=LOG_REPLACED" in lines.getvalue()


@pytest.mark.parametrize(
    ("failing", "seen"), [("build", ["build"]), ("warm_up", ["build", "warm_up", "flush", "close"])]
)
async def test_a_start_that_fails_lets_go_of_what_it_had(failing: str, seen: list[str]) -> None:
    steps = Steps(failing)
    server, _ = server_of(steps)
    with pytest.raises(LogReplaced):
        await server.start()
    assert steps.seen == seen
    with socket.create_server(("127.0.0.1", server.port)):
        pass


async def test_a_start_that_is_broken_off_lets_go_of_what_it_had() -> None:
    steps = Steps()
    waits = asyncio.Event()

    async def build(chassis: Chassis) -> Room:
        await waits.wait()
        return await steps.build(chassis)

    server, _ = server_of(steps)
    server._build = build
    starting = asyncio.create_task(server.start())
    async with asyncio.timeout(60):
        while not server.port:
            await asyncio.sleep(0.005)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with socket.create_server(("127.0.0.1", server.port)):
        pass


async def test_two_servers_never_share_a_port() -> None:
    one, _ = server_of(Steps())
    await one.start()
    two, _ = server_of(Steps(), port=one.port)
    try:
        with pytest.raises(PortBusy, match=str(one.port)):
            await two.start()
        assert await heads(one.port) == ["default"]
    finally:
        await two.drain()
        await one.drain()


async def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    server, _ = server_of(Steps(), tls=TlsSettings(cert_file=tmp_path / "tls.crt"))
    with pytest.raises(BadSettings, match="key_file"):
        await server.start()
    server, _ = server_of(Steps(), tls=TlsSettings(cert_file=tmp_path / "absent.crt", key_file=tmp_path / "absent.key"))
    with pytest.raises(BadSettings, match=r"absent\.key|absent\.crt"):
        await server.start()


async def test_a_server_beyond_loopback_says_whom_it_trusts() -> None:
    with pytest.raises(BadSettings):
        server_of(Steps(), host="0.0.0.0")
    server_of(Steps(), host="0.0.0.0", auth=AuthSettings(open=True))


async def test_the_ready_file_is_whole_and_goes_first(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    server, _ = server_of(Steps(), ready_file=ready)
    await server.start()
    assert f'"port": {server.port}' in ready.read_text()
    await server.drain()
    assert list(tmp_path.iterdir()) == []
