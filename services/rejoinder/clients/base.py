"""What every client is: a channel made from a connection, closed with the client."""

from __future__ import annotations

from typing import Self

from rejoinder.clients.channel import AsyncChannel, Channel
from rejoinder.clients.connection import Connection


class SyncClient:
    """owns: its channel. Safe to share between threads; make it after a fork, not before.

    channel: another way to carry calls than a new gRPC channel.
    """

    def __init__(self, connection: Connection, channel: Channel | None = None) -> None:
        self._channel = channel or Channel(connection)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class AsyncClient:
    """owns: its channel. Belongs to one event loop."""

    def __init__(self, connection: Connection, channel: AsyncChannel | None = None) -> None:
        self._channel = channel or AsyncChannel(connection)

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()
