"""Calls with deadlines and retries: the same plan over gRPC's sync and async channels."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message as ProtoMessage

from rejoinder.clients.connection import Connection
from rejoinder.clients.current import CurrentChannel
from rejoinder.clients.errors import error_of
from rejoinder.clients.retry import Retries


@dataclass(frozen=True)
class Rpc:
    """One RPC. path: `/rejoinder.v1.X/Y`. answer: class of its response. idempotent: as its proto says."""

    path: str
    answer: type[ProtoMessage]
    idempotent: bool = True


def _serialized(message: ProtoMessage) -> bytes:
    return message.SerializeToString()


def connected(kind: Any, connection: Connection) -> Any:
    """A new channel. kind: `grpc` or `grpc.aio`."""
    options = connection.options()
    if connection.tls is None:
        return kind.insecure_channel(connection.target, options)
    return kind.secure_channel(connection.target, connection.tls.credentials(), options)


class Channel:
    """owns: one gRPC channel. Safe to share between threads."""

    def __init__(self, connection: Connection, rng: random.Random | None = None) -> None:
        self._connection = connection
        self._rng = rng or random.Random()
        self._grpc = CurrentChannel(connection.tls, lambda: connected(grpc, connection))

    def call(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Any:
        """The answer. Raises a class of core.errors once no try is left or none would help."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                with self._current() as channel:
                    method = channel.unary_unary(rpc.path, _serialized, rpc.answer.FromString)
                    return method(request, timeout=left, metadata=self._connection.metadata())
            except grpc.RpcError as failure:
                error = error_of(failure)
            pause = None if self._grpc.closed else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            time.sleep(pause)

    def stream(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Generator[Any, None, None]:
        """The answer's messages. Tried again only as long as none has come; closing the generator cancels the call."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        while True:
            left = max(0.0, deadline - time.monotonic())
            begun = False
            with self._current() as channel:
                method = channel.unary_stream(rpc.path, _serialized, rpc.answer.FromString)
                messages = method(request, timeout=left, metadata=self._connection.metadata())
                try:
                    for message in messages:
                        begun = True
                        yield message
                    return
                except grpc.RpcError as failure:
                    error = error_of(failure)
                finally:
                    messages.cancel()
            pause = None if begun or self._grpc.closed else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            time.sleep(pause)

    @contextmanager
    def _current(self) -> Iterator[Any]:
        channel = self._grpc.take()
        try:
            yield channel
        except ValueError:
            # gRPC's word for a channel that was closed since it was taken.
            self._grpc.check()
            raise
        finally:
            for ended in self._grpc.release(channel):
                ended.close()

    def close(self) -> None:
        for channel in self._grpc.close():
            channel.close()


class AsyncChannel:
    """owns: one gRPC channel. Belongs to the event loop it was made on."""

    def __init__(self, connection: Connection, rng: random.Random | None = None) -> None:
        self._connection = connection
        self._rng = rng or random.Random()
        self._grpc = CurrentChannel(connection.tls, lambda: connected(grpc.aio, connection))

    async def call(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Any:
        """As Channel.call."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                async with self._current() as channel:
                    method = channel.unary_unary(rpc.path, _serialized, rpc.answer.FromString)
                    return await method(request, timeout=left, metadata=self._connection.metadata())
            except grpc.RpcError as failure:
                error = error_of(failure)
            pause = None if self._grpc.closed else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            await asyncio.sleep(pause)

    async def stream(
        self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None
    ) -> AsyncGenerator[Any, None]:
        """As Channel.stream."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        while True:
            left = max(0.0, deadline - time.monotonic())
            begun = False
            async with self._current() as channel:
                method = channel.unary_stream(rpc.path, _serialized, rpc.answer.FromString)
                messages = method(request, timeout=left, metadata=self._connection.metadata())
                try:
                    async for message in messages:
                        begun = True
                        yield message
                    return
                except grpc.RpcError as failure:
                    error = error_of(failure)
                finally:
                    messages.cancel()
            pause = None if begun or self._grpc.closed else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _current(self) -> AsyncIterator[Any]:
        channel = self._grpc.take()
        try:
            yield channel
        except grpc.aio.UsageError:
            self._grpc.check()
            raise
        except asyncio.CancelledError:
            # gRPC cancels the calls of a channel that is closed, as if their task had been.
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                self._grpc.check()
            raise
        finally:
            for ended in self._grpc.release(channel):
                await ended.close()

    async def close(self) -> None:
        for channel in self._grpc.close():
            await channel.close()
