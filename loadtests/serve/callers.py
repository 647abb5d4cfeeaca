"""Requests under way: gRPC for ours, HTTP for peers; a closed loop of callers, and an open one at a rate."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import grpc

#: One request: raises when it is not answered rightly.
Call = Callable[[], Awaitable[Any]]
_CALL_S = 300.0


async def closed(calls: Sequence[Call], callers: int) -> list[float]:
    """Seconds of each call; so many are under way at once."""
    loop, left, took = asyncio.get_running_loop(), iter(calls), []

    async def caller() -> None:
        for call in left:
            began = loop.time()
            await call()
            took.append(loop.time() - began)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return took


async def opened(calls: Sequence[Call], rate: float, seed: int) -> list[float]:
    """Seconds of each call from when it was due; they come so many a second (Poisson) whatever became of the others."""
    loop, draw = asyncio.get_running_loop(), random.Random(seed)
    at = loop.time()
    dues = [at := at + draw.expovariate(rate) for _ in calls]

    async def one(due: float, call: Call) -> float:
        await asyncio.sleep(max(0.0, due - loop.time()))
        await call()
        return loop.time() - due

    return list(await asyncio.gather(*map(one, dues, calls)))


class Rpc:
    """owns: the channels. Belongs to one event loop."""

    def __init__(self, port: int, path: str, answer: Any, channels: int = 4) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(channels)]
        self._unary = [c.unary_unary(path, lambda m: m.SerializeToString(), answer) for c in self._channels]
        self._stream = [c.unary_stream(path, lambda m: m.SerializeToString(), answer) for c in self._channels]
        self._next = 0

    async def call(self, request: Any) -> Any:
        self._next += 1
        return await self._unary[self._next % len(self._unary)](request, timeout=_CALL_S)

    def stream(self, request: Any) -> Any:
        self._next += 1
        return self._stream[self._next % len(self._stream)](request, timeout=_CALL_S)

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


class Http:
    """JSON over HTTP/1.1, a connection for each request under way, kept alive. owns: the connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, said: Any) -> Any:
        """Raises RuntimeError for any status but 200."""
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
        body = json.dumps(said).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _CALL_S)
        length = next(line for line in answered.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        found = await reader.readexactly(int(length.partition(b":")[2]))
        if not answered.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the peer answered {answered[:12].decode()}")
        self._free.append((reader, writer))
        return json.loads(found)

    async def close(self) -> None:
        for _, writer in self._free:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
