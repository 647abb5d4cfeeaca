"""Calls with deadlines and retries: the same plan over gRPC's sync and async channels."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message as ProtoMessage

from rejoinder.clients.connection import Connection
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


class Channel:
    """owns: one gRPC channel. Safe to share between threads."""

    def __init__(self, connection: Connection, rng: random.Random | None = None) -> None:
        self._connection = connection
        self._rng = rng or random.Random()
        tls, options = connection.tls, connection.options()
        self._grpc = (
            grpc.insecure_channel(connection.target, options)
            if tls is None
            else grpc.secure_channel(connection.target, tls.credentials(), options)
        )

    def call(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Any:
        """The answer. Raises a class of core.errors once no try is left or none would help."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        method = self._grpc.unary_unary(rpc.path, _serialized, rpc.answer.FromString)
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                return method(request, timeout=left, metadata=self._connection.metadata())
            except grpc.RpcError as failure:
                error = error_of(failure)
            pause = retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            time.sleep(pause)

    def stream(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Iterator[Any]:
        """The answer's messages. Tried again only as long as none has come; leaving the iterator cancels the call."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        method = self._grpc.unary_stream(rpc.path, _serialized, rpc.answer.FromString)
        while True:
            left = max(0.0, deadline - time.monotonic())
            messages = method(request, timeout=left, metadata=self._connection.metadata())
            begun = False
            try:
                for message in messages:
                    begun = True
                    yield message
                return
            except grpc.RpcError as failure:
                error = error_of(failure)
            finally:
                messages.cancel()
            pause = None if begun else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            time.sleep(pause)

    def close(self) -> None:
        self._grpc.close()


class AsyncChannel:
    """owns: one gRPC channel. Belongs to the event loop it was made on."""

    def __init__(self, connection: Connection, rng: random.Random | None = None) -> None:
        self._connection = connection
        self._rng = rng or random.Random()
        tls, options = connection.tls, connection.options()
        self._grpc = (
            grpc.aio.insecure_channel(connection.target, options)
            if tls is None
            else grpc.aio.secure_channel(connection.target, tls.credentials(), options)
        )

    async def call(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> Any:
        """As Channel.call."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        method = self._grpc.unary_unary(rpc.path, _serialized, rpc.answer.FromString)
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                return await method(request, timeout=left, metadata=self._connection.metadata())
            except grpc.RpcError as failure:
                error = error_of(failure)
            pause = retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            await asyncio.sleep(pause)

    async def stream(self, rpc: Rpc, request: ProtoMessage, deadline_s: float | None = None) -> AsyncIterator[Any]:
        """As Channel.stream."""
        deadline = time.monotonic() + (self._connection.deadline_s if deadline_s is None else deadline_s)
        retries = Retries(self._connection, rpc.idempotent, deadline, self._rng)
        method = self._grpc.unary_stream(rpc.path, _serialized, rpc.answer.FromString)
        while True:
            left = max(0.0, deadline - time.monotonic())
            messages = method(request, timeout=left, metadata=self._connection.metadata())
            begun = False
            try:
                async for message in messages:
                    begun = True
                    yield message
                return
            except grpc.RpcError as failure:
                error = error_of(failure)
            finally:
                messages.cancel()
            pause = None if begun else retries.pause(error, time.monotonic())
            if pause is None:
                raise error
            await asyncio.sleep(pause)

    async def close(self) -> None:
        await self._grpc.close()
