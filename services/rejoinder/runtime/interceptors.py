"""What happens around every call, in this order: trace, authenticate, role, rate, size, parse, tenant, slot,
deadline, method; then status and metrics. A method raises classes of `core.errors`; only here they become a status.

The bytes of a request are parsed here and not by gRPC, because a parse error there reaches the client as UNKNOWN
with the parser's text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError

from rejoinder.core.clock import Clock
from rejoinder.core.errors import BadEncoding, DataLoss, DeadlineExceeded, Draining, Loading, RejoinderError, TooLong
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.call import Call
from rejoinder.runtime.callers.auth import Listed, Open, check_role, check_tenants
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.callers.roles import HEALTH
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.status import as_known, status_of
from rejoinder.runtime.tracing import Tracer

_PEER_NAMES = ("x509_subject_alternative_name", "x509_common_name")


class Interceptors:
    """Wraps handlers. owns: nothing; everything it turns to is given."""

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
        max_message_bytes: int,
        max_call_s: float,
    ) -> None:
        self._auth = auth
        self._rates = rates
        self._admission = admission
        self._tracer = tracer
        self._metrics = metrics
        # A label's child is looked for under a lock, and there are few.
        self._took = cache(metrics["rpc_s"].labels)
        self._clock = clock
        self._log = log
        self._max_message_bytes = max_message_bytes
        self._max_call_s = max_call_s

    def wrap(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The handler, guarded. Raises TypeError for a streaming request: no proto of ours has one."""
        if handler.request_streaming:
            raise TypeError(f"{method} streams requests, which nothing here guards")
        parse = handler.request_deserializer

        async def unary(raw: bytes, context: grpc.aio.ServicerContext) -> Any:
            return await self._guarded(method, parse, raw, context, handler.unary_unary)

        async def stream(raw: bytes, context: grpc.aio.ServicerContext) -> None:
            async def write(request: Any, call: Call) -> None:
                async with aclosing(handler.unary_stream(request, call)) as messages:
                    async for message in messages:
                        await context.write(message)

            await self._guarded(method, parse, raw, context, write)

        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, None, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(unary, None, handler.response_serializer)

    async def _guarded(
        self,
        method: str,
        parse: Callable[[bytes], Any],
        raw: bytes,
        context: grpc.aio.ServicerContext,
        work: Callable[[Any, Call], Awaitable[Any]],
    ) -> Any:
        """What the work returns, in the order of the module's docstring."""
        started = self._clock.monotonic()
        remaining = context.time_remaining()
        deadline = None if remaining is None else started + remaining
        status = "OK"
        try:
            metadata = context.invocation_metadata() or ()
            with self._tracer.span(method, _value(metadata, "traceparent")) as traceparent:
                caller = self._auth.authenticate(metadata, _peers(context))
                check_role(caller, method)
                if self._rates.limits and method not in HEALTH:
                    self._rates.take(caller, context.peer())
                request = self._parsed(parse, raw)
                check_tenants(caller, request)
                with self._admission.slot():
                    call = Call(method, caller, deadline, traceparent, self._clock)
                    return await self._in_time(work, request, call, remaining)
        except asyncio.CancelledError:
            late = deadline is not None and self._clock.monotonic() >= deadline
            status = "DEADLINE_EXCEEDED" if late else "CANCELLED"
            raise
        except Exception as error:
            known = as_known(error)
            status = known.status
            self._note(method, known, error)
            await abort(context, known)
        finally:
            self._took(method, status).observe(self._clock.monotonic() - started)

    def _parsed(self, parse: Callable[[bytes], Any], raw: bytes) -> Any:
        if len(raw) > self._max_message_bytes:
            raise TooLong("request", len(raw), self._max_message_bytes)
        try:
            return parse(raw)
        except DecodeError:
            raise BadEncoding("the bytes are no request of this method", size=len(raw)) from None

    async def _in_time(
        self, work: Callable[[Any, Call], Awaitable[Any]], request: Any, call: Call, remaining: float | None
    ) -> Any:
        """Ends the method at the caller's deadline or at ours; nothing begins for a caller who has left."""
        limit = self._max_call_s if remaining is None else min(remaining, self._max_call_s)
        if limit <= 0:
            raise DeadlineExceeded("the deadline had passed before the call began")
        try:
            async with asyncio.timeout(limit) as timeout:
                return await work(request, call)
        except TimeoutError:
            if timeout.expired():
                raise DeadlineExceeded("the deadline passed while the call was at work") from None
            raise

    def _note(self, method: str, known: RejoinderError, error: Exception) -> None:
        self._metrics["rpc_errors_total"].labels(method, known.reason).inc()
        if known.status == "INTERNAL" or isinstance(known, DataLoss):
            self._log.error("call_failed", error, method=method, reason=known.reason)


class Handlers(grpc.GenericRpcHandler):
    """The methods of a server, filled when the room has been built: before that they answer LOADING, at drain DRAINING.

    Stands in for a server in the generated `add_…Servicer_to_server`. owns: the methods, the state and how many calls
    have begun.
    """

    def __init__(self, interceptors: Interceptors) -> None:
        self._interceptors = interceptors
        self._methods: dict[str, grpc.RpcMethodHandler] = {}
        self.services: list[str] = []
        self.begun = 0
        self.state: RejoinderError | None = Loading("models are being loaded", retry_after_s=1.0)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Called by generated code, which registers the same methods by name next."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, grpc.RpcMethodHandler]) -> None:
        # gRPC's own services (reflection) tell nothing that needs a guard.
        if service.startswith("grpc."):
            self._methods.update({f"/{service}/{name}": handler for name, handler in methods.items()})
            return
        self.services.append(service)
        for name, handler in methods.items():
            self._methods[f"/{service}/{name}"] = self._interceptors.wrap(f"/{service}/{name}", handler)

    def open(self) -> None:
        self.state = None

    def drain(self) -> None:
        self.state = Draining("the server is shutting down", retry_after_s=1.0)

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        self.begun += 1
        if self.state is not None and not details.method.startswith("/grpc."):
            return _refusing(self.state)
        return self._methods.get(details.method)


def _refusing(error: RejoinderError) -> grpc.RpcMethodHandler:
    async def refuse(raw: bytes, context: grpc.aio.ServicerContext) -> NoReturn:
        await abort(context, error)

    return grpc.unary_unary_rpc_method_handler(refuse)


class _Aborts(Protocol):
    """What of gRPC's context ends a call: it raises."""

    async def abort(self, code: Any, details: str, trailing_metadata: Any = ()) -> NoReturn: ...


async def abort(context: _Aborts, error: RejoinderError) -> NoReturn:
    code, text, trailing = status_of(error)
    await context.abort(code, text, trailing)


def _value(metadata: Iterable[tuple[str, Any]], name: str) -> str:
    for key, value in metadata:
        if key == name:
            return str(value)
    return ""


def _peers(context: grpc.aio.ServicerContext) -> Iterator[str]:
    """The names of a client's certificate; asked for only where somebody looks at them."""
    identity: Mapping[str, Iterable[bytes]] = context.auth_context()
    for key in _PEER_NAMES:
        for name in identity.get(key, ()):
            yield name.decode("utf-8", "replace")
