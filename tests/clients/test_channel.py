"""Retries, deadlines, credentials and streams over a real loopback connection."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from rejoinder.clients import Connection
from rejoinder.clients.channel import AsyncChannel, Channel, Rpc
from rejoinder.core import errors
from rejoinder.core.errors import RejoinderError
from rejoinder.runtime.status import status_of
from rejoinder.v1 import policy_pb2, policy_pb2_grpc, reward_pb2, reward_pb2_grpc

pytestmark = pytest.mark.system

SCORE = Rpc("/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse)
ONCE = Rpc("/rejoinder.v1.RewardService/Score", reward_pb2.ScoreResponse, idempotent=False)
GENERATE = Rpc("/rejoinder.v1.PolicyService/Generate", policy_pb2.GenerateResponse, idempotent=False)


Step = RejoinderError | threading.Event | None


class Scripted(reward_pb2_grpc.RewardServiceServicer, policy_pb2_grpc.PolicyServiceServicer):
    """Fails with each error of the script, waits for each of its events, then answers. owns: what it has seen.

    ended: set when a stream has ended for gRPC, whatever our side of it does."""

    def __init__(self, *script: Step) -> None:
        self._script = list(script)
        self.ended = threading.Event()
        self.metadata: list[dict[str, str]] = []

    def Score(self, request: object, context: grpc.ServicerContext) -> reward_pb2.ScoreResponse:
        self._play(context)
        return reward_pb2.ScoreResponse(scores=[1.0])

    def Generate(self, request: object, context: grpc.ServicerContext) -> Iterator[policy_pb2.GenerateResponse]:
        context.add_callback(self.ended.set)
        self._play(context)
        yield policy_pb2.GenerateResponse(text="70 ")
        self._play(context)
        yield policy_pb2.GenerateResponse(text="°F")

    def _play(self, context: grpc.ServicerContext) -> None:
        self.metadata.append(dict(context.invocation_metadata()))
        step = self._script.pop(0) if self._script else None
        if isinstance(step, threading.Event):
            step.wait()
        elif step is not None:
            code, text, trailing = status_of(step)
            context.set_trailing_metadata(trailing)
            context.abort(code, text)


class Running:
    """owns: a server over a script."""

    def __init__(self, script: Scripted) -> None:
        self.script = script
        self.server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        reward_pb2_grpc.add_RewardServiceServicer_to_server(script, self.server)
        policy_pb2_grpc.add_PolicyServiceServicer_to_server(script, self.server)
        self.target = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def connection(self, **fields: object) -> Connection:
        return Connection(self.target, **{"backoff_s": 0.005, "deadline_s": 3600.0, **fields})


@pytest.fixture
def serve() -> Iterator[object]:
    started: list[Running] = []

    def start(*script: Step) -> Running:
        started.append(Running(Scripted(*script)))
        return started[-1]

    yield start
    for running in started:
        running.server.stop(None).wait()


REQUEST = reward_pb2.ScoreRequest()
FULL = errors.QueueFull("full", retry_after_s=0.05)


async def both(running: Running, rpc: Rpc, deadline_s: float | None = None, **fields: object) -> list[object]:
    """The outcome over the sync channel, then over the async one: a score or the error."""
    out: list[object] = []
    channel, other = Channel(running.connection(**fields)), AsyncChannel(running.connection(**fields))
    for call in (
        lambda: asyncio.to_thread(channel.call, rpc, REQUEST, deadline_s),
        lambda: other.call(rpc, REQUEST, deadline_s),
    ):
        try:
            out.append((await call()).scores[0])
        except RejoinderError as error:
            out.append(type(error))
    channel.close()
    await other.close()
    return out


async def test_a_call_is_repeated_until_it_is_answered(serve: object) -> None:
    running = serve(FULL, errors.Loading("x"), None, FULL, errors.LogUnavailable("x"))
    assert await both(running, SCORE) == [1.0, 1.0]
    assert len(running.script.metadata) == 6


async def test_the_servers_delay_is_waited_for(serve: object) -> None:
    running = serve(errors.QueueFull("full", retry_after_s=0.3))
    started = time.monotonic()
    channel = Channel(running.connection(), random.Random(1))
    await asyncio.to_thread(channel.call, SCORE, REQUEST)
    channel.close()
    assert time.monotonic() - started >= 0.3


async def test_the_last_error_is_the_answer_when_the_tries_are_used_up(serve: object) -> None:
    running = serve(*[FULL] * 6)
    assert await both(running, SCORE, tries=3) == [errors.QueueFull] * 2
    assert len(running.script.metadata) == 6


async def test_what_may_have_been_done_is_not_done_again(serve: object) -> None:
    running = serve(errors.LogUnavailable("x"), errors.LogUnavailable("x"))
    assert await both(running, ONCE) == [errors.LogUnavailable] * 2
    assert len(running.script.metadata) == 2


async def test_a_deadline_bounds_all_tries_together(serve: object) -> None:
    answers = threading.Event()
    running = serve(answers, answers)
    try:
        found = await both(running, SCORE, deadline_s=0.2)
    finally:
        answers.set()
    assert found == [errors.DeadlineExceeded] * 2


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    channel = AsyncChannel(Connection("127.0.0.1:1", tries=2, backoff_s=0.005))
    with pytest.raises(errors.Unavailable):
        await channel.call(SCORE, REQUEST)
    await channel.close()


@pytest.mark.parametrize("rpc", [SCORE, GENERATE])
async def test_who_is_closed_during_a_call_and_after_it_is_unavailable(serve: object, rpc: Rpc) -> None:
    """Not gRPC's ValueError of a second try, nor a cancellation of a task that nobody has cancelled."""
    answers = threading.Event()
    running = serve(answers, answers)
    channel, other = Channel(running.connection()), AsyncChannel(running.connection())

    async def asked() -> None:
        if rpc is SCORE:
            await other.call(rpc, REQUEST)
        else:
            [part async for part in other.stream(rpc, policy_pb2.GenerateRequest())]

    def asked_here() -> None:
        if rpc is SCORE:
            channel.call(rpc, REQUEST)
        else:
            list(channel.stream(rpc, policy_pb2.GenerateRequest()))

    calls = [asyncio.create_task(asyncio.to_thread(asked_here)), asyncio.create_task(asked())]
    try:
        async with asyncio.timeout(60):
            while len(running.script.metadata) < 2:
                await asyncio.sleep(0.005)
        await asyncio.to_thread(channel.close)
        await other.close()
        for call in (*calls, asyncio.to_thread(asked_here), asked()):
            with pytest.raises(errors.Unavailable):
                await call
    finally:
        answers.set()
    assert len(running.script.metadata) == 2


async def test_a_call_whose_task_is_cancelled_is_cancelled(serve: object) -> None:
    """Also beside a close."""
    answers = threading.Event()
    running = serve(answers)
    channel = AsyncChannel(running.connection())
    call = asyncio.create_task(channel.call(SCORE, REQUEST))
    try:
        async with asyncio.timeout(60):
            while not running.script.metadata:
                await asyncio.sleep(0.005)
        call.cancel()
        await channel.close()
        with pytest.raises(asyncio.CancelledError):
            await call
    finally:
        answers.set()


async def test_token_and_trace_go_with_every_try(serve: object) -> None:
    running = serve(FULL)
    tokens = iter(["old", "new"])
    connection = running.connection(token=lambda: next(tokens), traceparent=lambda: "00-a-b-01")
    channel = AsyncChannel(connection)
    await channel.call(SCORE, REQUEST)
    await channel.close()
    assert [m["authorization"] for m in running.script.metadata] == ["Bearer old", "Bearer new"]
    assert {m["traceparent"] for m in running.script.metadata} == {"00-a-b-01"}


async def texts(running: Running) -> list[list[str]]:
    channel, other = Channel(running.connection()), AsyncChannel(running.connection())
    request = policy_pb2.GenerateRequest()
    out = [await asyncio.to_thread(lambda: [m.text for m in channel.stream(GENERATE, request)])]
    out.append([m.text async for m in other.stream(GENERATE, request)])
    channel.close()
    await other.close()
    return out


async def test_a_stream_that_did_not_begin_is_begun_again(serve: object) -> None:
    assert await texts(serve(FULL, None, None, FULL)) == [["70 ", "°F"]] * 2


async def test_a_stream_that_broke_in_the_middle_is_not_begun_again(serve: object) -> None:
    running = serve(None, FULL)
    channel = AsyncChannel(running.connection())
    heard: list[str] = []

    async def listen() -> AsyncIterator[str]:
        async for message in channel.stream(GENERATE, policy_pb2.GenerateRequest()):
            heard.append(message.text)
            yield message.text

    with pytest.raises(errors.QueueFull):
        [text async for text in listen()]
    await channel.close()
    assert heard == ["70 "]


async def test_leaving_a_stream_cancels_the_call(serve: object) -> None:
    goes_on = threading.Event()
    running = serve(None, goes_on)
    channel = Channel(running.connection())
    parts = channel.stream(GENERATE, policy_pb2.GenerateRequest())
    assert (await asyncio.to_thread(next, parts)).text == "70 "
    try:
        parts.close()
        # The server's own part is still under way: only a call that was cancelled has ended.
        assert await asyncio.to_thread(running.script.ended.wait, 60.0)
    finally:
        goes_on.set()
    channel.close()
