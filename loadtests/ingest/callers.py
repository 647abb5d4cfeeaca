"""Callers of both kinds, closed loop: so many requests on their way at once, the next when one is answered.

Requests are bytes made before. Raises NotTaken when an answer says anything but that every event was recorded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import grpc
from rejoinder.v1 import feedback_pb2

#: One caller: sends a request and returns how many events were acknowledged.
Caller = Callable[[bytes], Awaitable[int]]

METHOD = "/rejoinder.v1.FeedbackService/RecordFeedback"
#: Connections of gRPC's callers; HTTP/1.1 needs one for each request on its way.
CHANNELS = 4
_CALL_S = 60.0


class NotTaken(RuntimeError):
    """An event was refused, or known before: the figures would be of something else."""


async def all_answered(callers: Sequence[Caller], requests: Sequence[bytes]) -> int:
    """Events acknowledged when every request is answered; each caller has one on its way."""
    left = iter(requests)

    async def work(caller: Caller) -> int:
        return sum([await caller(request) for request in left])

    return sum(await asyncio.gather(*(work(caller) for caller in callers)))


class Grpc:
    """owns: the channels."""

    def __init__(self, port: int, in_flight: int) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(CHANNELS)]
        methods = [channel.unary_unary(METHOD) for channel in self._channels]
        self.callers: list[Caller] = [self._caller(methods[n % CHANNELS]) for n in range(in_flight)]

    async def open(self) -> None:
        for channel in self._channels:
            await asyncio.wait_for(channel.channel_ready(), _CALL_S)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    @staticmethod
    def _caller(method: grpc.aio.UnaryUnaryMultiCallable) -> Caller:
        async def call(request: bytes) -> int:
            results = feedback_pb2.RecordResponse.FromString(await method(request, timeout=_CALL_S)).results
            if any(result.outcome != feedback_pb2.RECORD_OUTCOME_RECORDED for result in results):
                raise NotTaken("an event was not recorded")
            return len(results)

        return call


class Http:
    """owns: the connections, kept alive."""

    def __init__(self, port: int, in_flight: int) -> None:
        self._port = port
        self._in_flight = in_flight
        self._writers: list[asyncio.StreamWriter] = []
        self.callers: list[Caller] = []

    async def open(self) -> None:
        for _ in range(self._in_flight):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writers.append(writer)
            self.callers.append(self._caller(reader, writer))

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    @staticmethod
    def _caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Caller:
        async def call(request: bytes) -> int:
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _CALL_S)
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            body = await reader.readexactly(int(length.partition(b":")[2]))
            if not head.startswith(b"HTTP/1.1 200"):
                raise NotTaken(f"the peer answered {head.partition(b' ')[2][:3].decode()}")
            return sum(result["outcome"] == "RECORDED" for result in json.loads(body))

        return call


def post(body: bytes) -> bytes:
    """An HTTP request with this JSON body."""
    head = f"POST /v1/feedback HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body
