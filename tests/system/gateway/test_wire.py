"""The gateway's own HTTP/1.1 to the server behind it, and its answers' way out: real sockets, answers byte by byte."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from rejoinder.gateway.server import _Joined, bind
from rejoinder.gateway.wire import Wire

pytestmark = pytest.mark.system

SAYS_YES = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes"


class Server:
    """Says to each request what `says` has next; ends a connection behind b"". owns: what it was asked."""

    def __init__(self, *says: bytes) -> None:
        self.says = list(says)
        self.asked: list[bytes] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.ends: list[asyncio.Task[None] | None] = []
        self.last: asyncio.StreamWriter | None = None
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.ends.append(asyncio.current_task())
        self.last = writer
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.asked.append(head + await reader.readexactly(int(length or 0)))
                said = self.says.pop(0)
                writer.write(said)
                if not said or b"close" in said:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


@asynccontextmanager
async def serving(*says: bytes, most: int = 4, idle_s: float = 60.0) -> AsyncIterator[tuple[Server, Wire]]:
    made, wire = Server(*says), Wire(most, idle_s)
    async with await asyncio.start_server(made, "127.0.0.1", 0) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x"
        yield made, wire
        await wire.aclose()
        await asyncio.gather(*(each for each in made.ends if each is not None))


def asks(server: Server, body: bytes = b"{}", **times: float) -> httpx.Request:
    return httpx.Request("POST", server.url, content=body, extensions={"timeout": times})


async def read(wire: Wire, request: httpx.Request) -> bytes:
    response = await wire.handle_async_request(request)
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def test_one_connection_answers_one_request_behind_the_other_and_streams_too() -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    async with serving(SAYS_YES, chunked, SAYS_YES) as (server, wire):
        assert [await read(wire, asks(server, b"%d" % n)) for n in range(3)] == [b"yes", b"abc", b"yes"]
        assert server.connections == 1
        assert server.asked[2].startswith(b"POST /v1/x HTTP/1.1\r\n")
        assert server.asked[2].endswith(b"\r\n\r\n2")


async def test_a_connection_that_the_server_ends_is_replaced() -> None:
    closes = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"
    until_end = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end"
    async with serving(closes, until_end, SAYS_YES) as (server, wire):
        assert [await read(wire, asks(server)) for _ in range(3)] == [b"no", b"to the end", b"yes"]
        assert server.connections == 3


@pytest.mark.parametrize("excess", [b"!", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"])
async def test_bytes_behind_an_answer_are_nobodys_answer(excess: bytes) -> None:
    async with serving(SAYS_YES + excess, SAYS_YES) as (server, wire):
        assert await read(wire, asks(server)) == b"yes"
        assert not wire._open, "what is left in a connection is no state to ask in"
        assert await read(wire, asks(server)) == b"yes"
        assert server.connections == 2


@pytest.mark.parametrize("far", ["unread", "read", "idle"])
async def test_bytes_that_come_later_end_the_connection(far: str) -> None:
    async with serving(SAYS_YES, SAYS_YES) as (server, wire):
        response = await wire.handle_async_request(asks(server))
        (connection,) = wire._open
        async with asyncio.timeout(60):
            while not connection._whole:
                await asyncio.sleep(0)
            if far != "unread":
                assert await response.aread() == b"yes"
            if far == "idle":
                await response.aclose()
            assert server.last is not None
            server.last.write(b"!")
            await server.left.wait()
        assert await response.aread() == b"yes", "the answer itself was whole"
        await response.aclose()
        assert not wire._open
        assert await read(wire, asks(server)) == b"yes"
        assert server.connections == 2


async def test_an_idle_connection_that_is_old_is_used_no_more() -> None:
    async with serving(SAYS_YES, SAYS_YES, idle_s=-1.0) as (server, wire):
        assert [await read(wire, asks(server)) for _ in range(2)] == [b"yes", b"yes"]
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\ncut",
        b"no HTTP; close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\nconnection: close\r\n\r\n",
    ],
)
async def test_what_is_no_whole_answer_is_an_error(said: bytes) -> None:
    async with serving(said, SAYS_YES) as (server, wire):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await read(wire, asks(server))
        assert await read(wire, asks(server)) == b"yes", "and the next request has a connection of its own"


async def test_nobody_there_no_room_and_no_word_are_told_apart() -> None:
    async with serving(SAYS_YES, b"HTTP/1.1 200 OK\r\n", SAYS_YES, most=1) as (server, wire):
        response = await wire.handle_async_request(asks(server))
        with pytest.raises(httpx.PoolTimeout):
            await wire.handle_async_request(asks(server, pool=0.01))
        await response.aread()
        with pytest.raises(httpx.ReadTimeout):
            await wire.handle_async_request(asks(server, read=0.05))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            nobody = httpx.Request("POST", f"http://127.0.0.1:{taken.getsockname()[1]}/", content=b"")
            with pytest.raises(httpx.ConnectError):
                await wire.handle_async_request(nobody)
        assert await read(wire, asks(server)) == b"yes", "each has given back its place"


async def test_a_reader_that_reads_no_more_holds_the_server_up_and_one_that_leaves_ends_it() -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n" + b"x" * 40_000_000
    async with serving(long) as (server, wire):
        response = await wire.handle_async_request(asks(server))
        parts = response.aiter_bytes()
        first = await anext(parts)
        assert len(first) < 1 << 20, "the rest waits in the server"
        (connection,) = wire._open
        assert connection._waiting < 1 << 20
        await response.aclose()
        await server.left.wait()
        assert not wire._open


@pytest.mark.parametrize("named", [True, False])
async def test_what_is_accepted_sends_at_once(named: bool) -> None:
    """The control is a socket whose protocol has no name: there a small second write waits for an acknowledgement."""
    sock = bind("127.0.0.1", 0)
    if not named:
        sock.close()
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
    made: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(accepted, sock=sock):
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        assert bool(await made) is named
        await reader.read()
        writer.close()


async def test_writes_of_one_turn_are_one_and_none_is_lost() -> None:
    class Inner:
        def __init__(self) -> None:
            self.did: list[bytes] = []
            self.write: Callable[[bytes], None] = self.did.append

        def close(self) -> None:
            self.did.append(b"closed")

    inner = Inner()
    joined = _Joined(inner, asyncio.get_running_loop())  # type: ignore[arg-type]
    for data in (b"head", b"", b"body"):
        joined.write(data)
    assert inner.did == []
    await asyncio.sleep(0)
    assert inner.did == [b"headbody"]
    joined.write(b"x" * 70_000)
    assert len(inner.did) == 2, "memory is bounded"
    joined.write(b"end")
    joined.close()
    await asyncio.sleep(0)
    assert inner.did[2:] == [b"end", b"closed"]
