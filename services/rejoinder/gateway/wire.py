"""HTTP/1.1 to the server behind the gateway: httpx's transport without its pool.

httpx's own looks at every connection, with a system call each, whenever one request begins or ends, and sends a head
and a body apart: half of what the gateway cost. Here a request is one write, and a connection says by itself that it
has ended.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import h11
import httpx

#: Bytes of an answer that wait for their reader; from there on the server waits.
_HIGH = 64 * 1024
#: Bytes of an answer's head.
_MAX_HEAD = 100 * 1024


class Wire(httpx.AsyncBaseTransport):
    """owns: its connections, those in nobody's use among them (the one used last is used first).

    most: connections at once. idle_s: seconds that one is kept in nobody's use. Raises what httpx's own raises.
    """

    def __init__(self, most: int, idle_s: float) -> None:
        self._room = asyncio.Semaphore(most)
        self._idle_s = idle_s
        self._idle: dict[tuple[str, str, int], deque[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        times = request.extensions.get("timeout", {})
        if self._room.locked():
            try:
                async with asyncio.timeout(times.get("pool")):
                    await self._room.acquire()
            except TimeoutError:
                raise httpx.PoolTimeout("every connection is in use") from None
        else:
            await self._room.acquire()
        try:
            url = request.url
            origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
            connection = self._kept(origin) or await self._opened(origin, times.get("connect"))
            return await connection.ask(request, times.get("read"))
        except BaseException:
            self._room.release()
            raise

    def _kept(self, origin: tuple[str, str, int]) -> _Connection | None:
        kept = self._idle.setdefault(origin, deque())
        oldest = asyncio.get_running_loop().time() - self._idle_s
        while kept and (kept[0].idle_since < oldest or not kept[0].usable):
            kept.popleft().abort()
        while kept:
            if (last := kept.pop()).usable:
                return last
        return None

    async def _opened(self, origin: tuple[str, str, int], connect_s: float | None) -> _Connection:
        scheme, host, port = origin
        if scheme == "https" and self._tls is None:
            self._tls = httpx.create_ssl_context(trust_env=False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, origin),
                    host,
                    port,
                    ssl=self._tls if scheme == "https" else None,
                    happy_eyeballs_delay=0.25,
                )
        except TimeoutError:
            raise httpx.ConnectTimeout("nobody answered in time") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from None
        self._open.add(connection)
        return connection

    def given_back(self, connection: _Connection) -> None:
        """Of a connection whose answer is over, whatever its end was."""
        self._room.release()
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle[connection.origin].append(connection)

    def gone(self, connection: _Connection) -> None:
        self._open.discard(connection)

    async def aclose(self) -> None:
        for connection in list(self._open):
            connection.abort()


class _Connection(asyncio.Protocol):
    """owns: its transport, and what has come of the present answer."""

    def __init__(self, wire: Wire, origin: tuple[str, str, int]) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self._wire = wire
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._transport: Any = None
        self._lost = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._begin()

    def _begin(self) -> None:
        self._head: h11.Response | None = None
        self._parts: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._whole = False
        self._failed: httpx.TransportError | None = None
        self._news: asyncio.Future[None] | None = None

    @property
    def usable(self) -> bool:
        """For another request."""
        return not self._lost and self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE

    async def ask(self, request: httpx.Request, read_s: float | None) -> httpx.Response:
        """The answer as far as its head. Whatever goes wrong before ends the connection."""
        self._begin()
        try:
            asked = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            send = self._http.send
            body = await request.aread()
            data = [send(asked), send(h11.Data(data=body)) if body else b"", send(h11.EndOfMessage())]
            self._transport.write(b"".join(part for part in data if part))
            await self._writable.wait()
            while self._head is None:
                await self._moved(read_s)
        except BaseException as error:
            self.abort()
            if isinstance(error, h11.LocalProtocolError):
                raise httpx.LocalProtocolError(str(error)) from None
            raise
        head = self._head
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=_Body(self, read_s))

    async def part(self, read_s: float | None) -> bytes:
        """What came next; b"" at the end."""
        while not self._parts:
            if self._whole:
                return b""
            await self._moved(read_s)
        data = self._parts.popleft()
        self._waiting -= len(data)
        if self._paused and self._waiting < _HIGH:
            self._paused = False
            self._transport.resume_reading()
        return data

    def over(self) -> None:
        """The answer's reader is done with it."""
        # Bytes behind its end would be read as the next request's answer.
        if self._whole and not self._lost and not self._http.trailing_data[0]:
            try:
                self._http.start_next_cycle()
            except h11.LocalProtocolError:
                # The server closes behind this answer.
                self.abort()
        else:
            self.abort()
        self._wire.given_back(self)

    def abort(self) -> None:
        self._lost = True
        self._wire.gone(self)
        if self._transport is not None:
            self._transport.abort()

    async def _moved(self, read_s: float | None) -> None:
        """Returns when there is something new."""
        if self._failed is not None:
            raise self._failed
        self._news = asyncio.get_running_loop().create_future()
        try:
            if read_s is None:
                await self._news
            else:
                async with asyncio.timeout(read_s):
                    await self._news
        except TimeoutError:
            raise httpx.ReadTimeout("the server says nothing") from None
        finally:
            self._news = None
        if self._failed is not None and not self._parts:
            raise self._failed

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._http.our_state is h11.IDLE or self._whole:
            # Nobody asked for it; what came before is its reader's all the same.
            self.abort()
            return
        self._take(data)

    def eof_received(self) -> None:
        if self._http.our_state is not h11.IDLE and not self._whole:
            self._take(b"")
        self._lost = True

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._writable.set()
        self._wire.gone(self)
        if not self._whole and self._failed is None:
            self._failed = httpx.ReadError("the connection was lost")
        self._tell()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _take(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while not self._whole:
                event = self._http.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    break
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._parts.append(bytes(event.data))
                    self._waiting += len(event.data)
                elif isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed)):
                    self._whole = True
        except h11.RemoteProtocolError as error:
            self._failed = httpx.RemoteProtocolError(str(error))
            self._lost = True
        if self._waiting >= _HIGH and not self._paused and not self._whole:
            self._paused = True
            self._transport.pause_reading()
        self._tell()


class _Body(httpx.AsyncByteStream):
    """owns: the connection until its answer is over."""

    def __init__(self, connection: _Connection, read_s: float | None) -> None:
        self._connection: _Connection | None = connection
        self._read_s = read_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection is not None and (part := await self._connection.part(self._read_s)):
            yield part

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.over()
