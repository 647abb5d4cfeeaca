"""An answer of the server behind the gateway on its way through: read once, recorded once, whatever ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx

from rejoinder.gateway import sse
from rejoinder.gateway.attempt import Attempt
from rejoinder.gateway.errors import UpstreamRefused
from rejoinder.runtime.spool import Spool

#: Bytes of an answer.
_MAX_BODY = 64 * 1024 * 1024


class Passing:
    """An answer on its way through. owns: the response; failure: why it counts as failed, "" while it does not.

    late: whether its time is over.
    """

    def __init__(self, attempt: Attempt, response: httpx.Response, record: Spool, late: Callable[[], bool]) -> None:
        self.attempt = attempt
        self._late = late
        self.failure = ""
        self._response = response
        self._record = record
        self._over = False
        self._body: bytes | None = None
        self._events: AsyncIterator[str] | None = None
        self._first: list[str] = []

    async def model(self, stream: bool) -> str:
        """What the server says that the answer is from, "" where it does not. A stream is read as far as its first
        event, anything else to its end. Raises UpstreamRefused."""
        with self.failing():
            if stream:
                first = await anext(self.data(), None)
                self._first += [] if first is None else [first]
            else:
                self._body = await self.read()
        said = object_of(self._body if self._body is not None else "".join(self._first))
        model = said.get("model") if said else None
        return model if isinstance(model, str) else ""

    async def unsaid(self) -> None:
        """Nobody was told a word of the answer: it is no attempt."""
        self._over = True
        await self.close()

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Whatever the server sends that is no answer, or no more of one, is its own failure."""
        try:
            yield
        except UpstreamRefused:
            self.failure = "UNAVAILABLE"
            raise

    async def read(self) -> bytes:
        return await read(self._response, _MAX_BODY) if self._body is None else self._body

    async def data(self) -> AsyncIterator[str]:
        size = 0
        for data in self._first:
            size += len(data)
            yield data
        if self._events is None:
            self._events = sse.data_of(self._response.aiter_bytes())
        try:
            async for data in self._events:
                size += len(data)
                if size > _MAX_BODY:
                    raise UpstreamRefused("the server behind the gateway sent too long an answer")
                yield data
        except httpx.HTTPError:
            raise UpstreamRefused("the server behind the gateway broke off") from None

    async def finished(self) -> None:
        """Returns when every choice is on disk, or was counted as lost."""
        puts = [self._record.put(record) for record in self.attempt.records()]
        # From here on it is recorded as completed, also when the caller leaves while the disk is at it.
        self._over = True
        await asyncio.gather(*map(asyncio.wrap_future, puts))

    async def close(self) -> None:
        """Ends the request; an answer that was cut short is recorded as such. Nobody waits for that."""
        if not self._over:
            self._over = True
            failure = self.failure or ("DEADLINE_EXCEEDED" if self._late() else "")
            for record in self.attempt.records(failure, cancelled=True):
                self._record.put(record)
        with suppress(httpx.HTTPError):
            await self._response.aclose()


async def read(response: httpx.Response, most: int) -> bytes:
    """The body, of so many bytes at most. Raises UpstreamRefused."""
    parts = bytearray()
    try:
        async for part in response.aiter_bytes():
            parts += part
            if len(parts) > most:
                raise UpstreamRefused("the server behind the gateway sent too long an answer")
    except httpx.HTTPError:
        raise UpstreamRefused("the server behind the gateway broke off") from None
    return bytes(parts)


def answer_of(data: bytes | str) -> dict[str, Any]:
    """A completion, or a chunk of one. Raises UpstreamRefused."""
    said = object_of(data)
    if said is None:
        raise UpstreamRefused("the server behind the gateway sent what is no answer")
    return said


def object_of(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object that a server sent, where it is one."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
