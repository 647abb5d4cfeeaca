"""What happens around every request, in this order: trace, room, framing, authenticate, role, rate, body, slot,
deadline, handler; then status and metrics. A handler raises classes of `core.errors`; only here they become a response.

A caller that goes away cancels the handler, and with it whatever it had asked for.
"""

from __future__ import annotations

import asyncio
import json
import math
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from rejoinder.core.clock import Clock
from rejoinder.core.errors import (
    BadEncoding,
    DeadlineExceeded,
    Draining,
    Loading,
    RejoinderError,
    RoleMissing,
    Unauthenticated,
    Unavailable,
)
from rejoinder.core.metrics import Metrics
from rejoinder.gateway import sse
from rejoinder.gateway.errors import (
    BodyTooLarge,
    BodyTooSlow,
    HeadTooLarge,
    UnsupportedMedia,
    error_body,
    error_headers,
    http_status,
)
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.call import Principal
from rejoinder.runtime.callers.auth import Listed, Open
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.status import as_known
from rejoinder.runtime.tracing import Tracer

#: The trace of the request at work, for the calls that it makes.
TRACE: ContextVar[str] = ContextVar("traceparent", default="")

#: A proxy on the way gathers nothing.
_STREAMED = (("content-type", "text/event-stream; charset=utf-8"), ("x-accel-buffering", "no"))
#: What a refused request may still send before its connection is closed, so that its caller reads the refusal.
_LINGER_BYTES, _LINGER_S = 1024 * 1024, 1.0


@dataclass(frozen=True)
class HttpCall:
    """One request. caller: None where credentials are optional and none came. deadline: of the clock's monotonic().
    url: path and query as they were sent."""

    headers: Headers
    body: bytes
    path: Mapping[str, str]
    caller: Principal | None
    deadline: float
    url: str = ""


@dataclass(frozen=True)
class Answer:
    """A whole answer; content: a JSON value, or bytes of another media type."""

    content: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Stream:
    """Server-sent events as they come. close: called once, whether or not the parts were read."""

    parts: AsyncIterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()
    close: Callable[[], Awaitable[None]] = field(default=_nothing)


Handler = Callable[[HttpCall], Awaitable[Answer | Stream]]
#: An error as its caller is told: media type and body.
Refusal = Callable[[RejoinderError], tuple[str, bytes]]


def as_json(error: RejoinderError) -> tuple[str, bytes]:
    return "application/json", _json(error_body(error))


#: A caller by what else it sends; None where that says nothing.
Known = Callable[[Headers], Principal | None]


def nobody(headers: Headers) -> Principal | None:
    return None


#: In the state of a connection that is more than there may be.
CROWDED = "crowded"


class _Gone(Exception):
    """The caller has left."""


class Guard:
    """Wraps handlers. owns: whether the process takes requests; everything it turns to is given."""

    def __init__(
        self,
        *,
        auth: Open | Listed,
        rates: Rates,
        admission: Admission,
        tracer: Tracer,
        metrics: Metrics,
        clock: Clock,
        log: EventLog,
        head_bytes: int,
        body_s: float,
        max_call_s: float,
        refusal: Refusal = as_json,
    ) -> None:
        self.refusal = refusal
        self.auth = auth
        self.rates = rates
        self.admission = admission
        self.tracer = tracer
        self.metrics = metrics
        self.clock = clock
        self.log = log
        self.head_bytes = head_bytes
        self.body_s = body_s
        self.max_call_s = max_call_s
        self.state: RejoinderError | None = Loading("the gateway is starting", retry_after_s=1.0)

    def open(self) -> None:
        self.state = None

    def drain(self) -> None:
        self.state = Draining("the gateway is shutting down", retry_after_s=1.0)

    def route(
        self,
        name: str,
        handler: Handler,
        roles: frozenset[str],
        max_bytes: int = 0,
        anonymous: bool = False,
        known: Known = nobody,
        packed: bool = False,
        refusal: Refusal | None = None,
    ) -> Guarded:
        """The handler as an ASGI application. roles: who may call it. max_bytes: of a body, 0 = none is taken.
        anonymous: True lets callers without credentials through, for the handler to judge. known: whose rate counts
        then, where something else than credentials says who it is. packed: True takes bodies as gzip too, unpacked
        under the same limit. refusal: this route's own way to tell an error."""
        refusal = refusal or self.refusal
        return Guarded(self, name, handler, roles, max_bytes, anonymous, known, packed, refusal)


class Guarded:
    """One guarded route."""

    def __init__(
        self,
        guard: Guard,
        name: str,
        handler: Handler,
        roles: frozenset[str],
        max_bytes: int,
        anonymous: bool,
        known: Known,
        packed: bool,
        refusal: Refusal,
    ) -> None:
        self._guard = guard
        self._name = name
        self._handler = handler
        self._roles = roles
        self._max_bytes = max_bytes
        self._anonymous = anonymous
        self._known = known
        self._packed = packed
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guard = self._guard
        began = guard.clock.monotonic()
        headers = Headers(scope=scope)
        out = _Out(send)
        status = "OK"
        try:
            with guard.tracer.span(self._name, headers.get("traceparent", "")) as traceparent:
                TRACE.set(traceparent)
                await self._answer(scope, headers, receive, out, began + guard.max_call_s)
        except _Gone:
            status = "CANCELLED"
        except asyncio.CancelledError:
            status = "CANCELLED"
            raise
        except Exception as error:
            known = as_known(error)
            status = known.status
            guard.metrics["rpc_errors_total"].labels(self._name, known.reason).inc()
            if known.status == "INTERNAL":
                guard.log.error("call_failed", error, method=self._name, reason=known.reason)
            await self._refuse(known, out, receive)
        finally:
            guard.metrics["rpc_s"].labels(self._name, status).observe(guard.clock.monotonic() - began)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, out: _Out, deadline: float) -> None:
        if self._guard.state is not None:
            raise self._guard.state
        if crowded(scope):
            raise Unavailable("too many connections", retry_after_s=1.0)
        check_framing(headers, self._guard.head_bytes)
        caller = self._caller(headers)
        if self._guard.rates.limits:
            peer = scope.get("client")
            self._guard.rates.take(caller or self._known(headers), peer[0] if peer else "")
        body = await self._body(headers, receive)
        out.body_read = True
        if _coding(headers) == "gzip":
            body = unpacked(body, self._max_bytes)
        call = HttpCall(headers, body, scope.get("path_params", {}), caller, deadline, _url(scope))
        with self._guard.admission.slot():
            try:
                async with asyncio.timeout(deadline - self._guard.clock.monotonic()) as timeout:
                    await self._unless_gone(call, receive, out)
            except TimeoutError:
                if timeout.expired():
                    raise DeadlineExceeded("the request took longer than the gateway allows") from None
                raise

    def _caller(self, headers: Headers) -> Principal | None:
        if self._anonymous and "authorization" not in headers:
            # A browser says where a page is from. Whoever is trusted unasked is no page.
            if isinstance(self._guard.auth, Open) and "origin" not in headers:
                return self._guard.auth.authenticate((), ())
            return None
        if len(headers.getlist("authorization")) > 1:
            raise Unauthenticated("more than one authorization header")
        caller = self._guard.auth.authenticate(headers.items(), ())
        if not caller.roles & self._roles:
            raise RoleMissing("the caller has none of the roles of this route", needs=",".join(sorted(self._roles)))
        return caller

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        said = headers.get("content-length", "")
        if said.isdigit() and int(said) > self._max_bytes:
            raise BodyTooLarge("body", int(said), self._max_bytes)
        if _coding(headers) not in (("identity", "gzip") if self._packed else ("identity",)):
            raise UnsupportedMedia("this coding of a body is not taken", field="content-encoding")
        parts = bytearray()
        try:
            async with asyncio.timeout(self._guard.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    parts += message.get("body", b"")
                    if len(parts) > self._max_bytes:
                        raise BodyTooLarge("body", len(parts), self._max_bytes)
                    if not message.get("more_body", False):
                        return bytes(parts)
        except TimeoutError:
            raise BodyTooSlow(f"the body did not come within {self._guard.body_s:g} s") from None

    async def _unless_gone(self, call: HttpCall, receive: Receive, out: _Out) -> None:
        """Runs the handler and sends what it answers, unless the caller leaves first."""
        work = asyncio.create_task(self._work(call, out))
        leaving = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise _Gone
            await work
        finally:
            for task in (work, leaving):
                task.cancel()
            await asyncio.wait({work, leaving})
            # What went wrong while it was cancelled is nobody's answer.
            _ = work.cancelled() or work.exception()

    async def _work(self, call: HttpCall, out: _Out) -> None:
        answer = await self._handler(call)
        if isinstance(answer, Answer):
            await out.whole(answer)
            return
        try:
            await out.begin(200, [*answer.headers, *_STREAMED])
            async for part in answer.parts:
                await out.part(part)
            await out.end()
        finally:
            await answer.close()

    async def _refuse(self, error: RejoinderError, out: _Out, receive: Receive) -> None:
        if out.ended:
            return
        if out.begun:
            # The status is said: what went wrong comes as an event, as OpenAI's own streams have it.
            await out.part(sse.event(error_body(error)))
            await out.end()
            return
        headers = error_headers(error)
        if not out.body_read:
            # Whatever else it sends is not waited for.
            headers.append(("connection", "close"))
        media, body = self._refusal(error)
        await out.begin(http_status(error), [*headers, ("content-type", media)])
        await out.part(body)
        if not out.body_read and not isinstance(error, BodyTooSlow):
            await _linger(receive)
        await out.end()


class _Out:
    """What was said to the caller so far. owns: that."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.body_read = False
        self.begun = False
        self.ended = False

    async def whole(self, answer: Answer) -> None:
        body = answer.content if isinstance(answer.content, bytes) else _json(answer.content)
        await self.begin(
            answer.status, [*answer.headers, ("content-type", answer.media), ("content-length", str(len(body)))]
        )
        await self.part(body)
        await self.end()

    async def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def part(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        self.ended = True
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def check_framing(headers: Headers, most_bytes: int) -> None:
    """Raises HeadTooLarge where the parser met the whole head at once and so let it pass; BadEncoding for a request
    whose end two servers in a row could see at two places. The parser refuses the rest (two lengths, a length that is
    no number, a space before the colon)."""
    size = sum(len(name) + len(value) for name, value in headers.raw)
    if size > most_bytes:
        raise HeadTooLarge("headers", size, most_bytes)
    if "transfer-encoding" in headers and "content-length" in headers:
        raise BadEncoding("a request has a length or is chunked, not both", field="transfer-encoding")


def _coding(headers: Headers) -> str:
    return headers.get("content-encoding", "identity").strip().lower()


def unpacked(data: bytes, most_bytes: int) -> bytes:
    """What gzip holds: never more than the limit is in memory. Raises BodyTooLarge, BadEncoding."""
    # One member, as every client writes it: behind its end nothing may stand.
    member = zlib.decompressobj(wbits=31)
    try:
        out = member.decompress(data, most_bytes + 1)
    except zlib.error:
        raise BadEncoding("the body is no gzip", field="content-encoding") from None
    if len(out) > most_bytes:
        raise BodyTooLarge("body", len(out), most_bytes)
    if not member.eof or member.unused_data:
        raise BadEncoding("the body is no gzip", field="content-encoding")
    return out


def media_of(headers: Headers) -> str:
    """The body's media type, in lower case and without its parameters; "" where none is said."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def json_object(call: HttpCall, media: tuple[str, ...] = ("application/json",)) -> dict[str, Any]:
    """The body as a JSON object. Raises UnsupportedMedia, BadEncoding.

    A page of another origin can send text but not JSON without being asked first: so what no page may do asks for it.
    """
    if media_of(call.headers) not in media:
        raise UnsupportedMedia(f"content-type must be {' or '.join(media)}", field="content-type")
    return json_of(call.body)


def crowded(scope: Scope) -> bool:
    """Whether it came on a connection that is more than there may be."""
    return bool(scope.get("state", {}).get(CROWDED))


def json_of(data: bytes | str) -> dict[str, Any]:
    """Raises BadEncoding for what is no JSON object: NaN, half a surrogate pair and depth without end among it."""
    try:
        value = json.loads(data, parse_constant=_no_constant, parse_float=_finite)
        if not isinstance(value, dict):
            raise ValueError
        if (b"\\ud" in data.lower()) if isinstance(data, bytes) else ("\\ud" in data.lower()):
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadEncoding("the body is no JSON object", field="body") from None
    return value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _finite(text: str) -> float:
    """1e999 is written as a number and read as none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def _url(scope: Scope) -> str:
    path, query = scope.get("raw_path", b"").decode("latin-1"), scope.get("query_string", b"").decode("latin-1")
    return path + (f"?{query}" if query else "")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


async def _left(receive: Receive) -> None:
    """Returns when the caller has left."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def _linger(receive: Receive) -> None:
    """Takes what is on its way: a connection that is closed over unread bytes is reset, and the refusal with it."""
    left = _LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
