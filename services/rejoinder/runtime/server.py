"""A server's life: bind, load, warm up, SERVING; then NOT_SERVING, let callers leave, stop accepting, wait up to the
grace, cancel the rest and say how many, end the background, flush, close, metrics last.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

from rejoinder.core.clock import Clock
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.callers.tls import server_credentials
from rejoinder.runtime.exporter import Exporter, busy
from rejoinder.runtime.files import put_whole
from rejoinder.runtime.interceptors import Handlers, Interceptors
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.settings import ServerSettings
from rejoinder.runtime.tracing import tracer

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

#: Seconds that the last answers get to leave the socket; health watchers hold their streams open for as long.
_LAST_BYTES_S = 1.0
#: Seconds between two looks whether callers call on.
_LOOK_S = 0.025
#: Looks without a new call after which all callers have left: of those that watch health, who on a busy machine may
#: hear late and call seldom (one second), and where nobody does. Looks and not seconds: while this process stood still,
#: no call could begin.
_WATCHED, _UNWATCHED = 40, 4


@dataclass(frozen=True)
class Chassis:
    """What a room is built with."""

    service: str
    clock: Clock
    metrics: Metrics
    log: EventLog


@dataclass(frozen=True)
class Room:
    """What a process serves and how it is let go.

    add: generated `add_…Servicer_to_server` with the servicer bound. warm_up: before SERVING. background: tasks beside
    the calls, given an event that asks them to end once the last call has; one that fails drains the process.
    flush: after them; close: after it, also when flush failed.
    """

    add: Sequence[Callable[[Any], None]] = ()
    warm_up: Callable[[], Awaitable[None]] | None = None
    background: Sequence[Callable[[asyncio.Event], Awaitable[None]]] = ()
    flush: Callable[[], Awaitable[None]] | None = None
    close: Callable[[], Awaitable[None]] | None = None


class _Health(health_aio.HealthServicer):
    """watchers: streams of callers that want to hear when we stop."""

    watchers = 0

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext) -> None:
        self.watchers += 1
        try:
            await super().Watch(request, context)
        finally:
            self.watchers -= 1


class Server:
    """owns: the sockets, who may call, the room and its background tasks.

    failed: set when a background task has failed; the owner then drains and finds the cause in `failure`.
    """

    def __init__(self, settings: ServerSettings, build: Callable[[Chassis], Awaitable[Room]], chassis: Chassis) -> None:
        self._settings = settings
        self._build = build
        self._chassis = chassis
        self._log = chassis.log
        self._admission = Admission(settings.max_in_flight, settings.retry_after_s, chassis.metrics)
        self._auth = authenticator(settings.auth, settings.host, self._keeps_old("credentials_not_read"), chassis.clock)
        self._handlers = Handlers(self._interceptors())
        self._health = _Health()
        self._room = Room()
        self._ending = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._exporter: Exporter | None = None
        self._grpc: grpc.aio.Server | None = None
        self.failed = asyncio.Event()
        self.failure: BaseException | None = None
        self.port = 0

    @property
    def metrics_port(self) -> int | None:
        return None if self._exporter is None else self._exporter.port

    async def start(self) -> None:
        """Returns when SERVING. Raises PortBusy, BadSettings, or what building the room raised; then all is let go."""
        try:
            await self._bind()
            self._room = await self._build(self._chassis)
            await self._open()
        except BaseException:
            await self.drain()
            raise

    async def drain(self) -> None:
        """Lets go of everything, in the order of the module's docstring."""
        await self._set_health(_NOT_SERVING)
        if self._settings.ready_file is not None:
            self._settings.ready_file.unlink(missing_ok=True)
        await self._let_leave()
        await self._end_calls()
        await self._end_background()
        await self._last("flush", self._room.flush)
        await self._last("close", self._room.close)
        self._auth.close()
        self._log.info("drain_ended")
        if self._exporter is not None:
            self._exporter.close()

    async def _bind(self) -> None:
        settings = self._settings
        if settings.metrics_port is not None:
            self._exporter = Exporter(settings.host, settings.metrics_port, self._chassis.metrics)
        # so_reuseport: a second process would share the port in silence and take half of the calls.
        # Twice the length: a request over our limit gets our error, only one far beyond it gRPC's own.
        options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 2 * settings.max_message_bytes)]
        if settings.max_connection_age_s:
            options.append(("grpc.max_connection_age_ms", round(settings.max_connection_age_s * 1000)))
        server = grpc.aio.server(handlers=[self._handlers], options=options)
        address = f"{settings.host}:{settings.port}"
        credentials = server_credentials(settings.tls, self._keeps_old("certificate_not_read"))
        try:
            self.port = (
                server.add_insecure_port(address)
                if credentials is None
                else server.add_secure_port(address, credentials)
            )
        except RuntimeError:
            raise busy(settings.host, settings.port, "server.port") from None
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        await self._set_health(_NOT_SERVING)
        await server.start()
        self._grpc = server
        self._log.info("port_bound", host=settings.host, port=self.port, metrics_port=self.metrics_port)

    async def _open(self) -> None:
        for add in self._room.add:
            add(self._handlers)
        reflection = reflection_aio.ReflectionServicer([*self._handlers.services, "grpc.health.v1.Health"])
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflection, self._handlers)
        if self._room.warm_up is not None:
            await self._room.warm_up()
        self._tasks = [asyncio.create_task(self._watched(work)) for work in self._room.background]
        self._handlers.open()
        await self._set_health(_SERVING)
        if self._settings.ready_file is not None:
            _write_ready(self._settings.ready_file, self._chassis.service, self.port, self.metrics_port)
        self._log.info("serving_started", port=self.port, services=self._handlers.services)

    async def _set_health(self, status: int) -> None:
        for name in ("", *self._handlers.services):
            await self._health.set(name, status)
        self._chassis.metrics["serving"].set(1 if status == _SERVING else 0)

    async def _watched(self, work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
        try:
            await work(self._ending)
        except Exception as error:
            self.failure = error
            self._log.error("background_failed", error, reason=getattr(error, "reason", "INTERNAL"))
            self.failed.set()

    async def _let_leave(self) -> None:
        """Takes calls for as long as some come, within leave_s: gRPC cuts off what crosses its goodbye on the way."""
        # The loop's time, not the chassis' clock: a server whose clock a test moves still lets go.
        handlers, loop = self._handlers, asyncio.get_running_loop()
        if handlers.state is not None:
            return
        most = _WATCHED if self._health.watchers else _UNWATCHED
        until, before, left = loop.time() + self._settings.leave_s, handlers.begun, most
        while left and loop.time() < until:
            await asyncio.sleep(_LOOK_S)
            left = left - 1 if handlers.begun == before else most
            before = handlers.begun

    async def _end_calls(self) -> None:
        self._handlers.drain()
        if self._grpc is None:
            return
        grace = self._settings.grace_s
        self._log.info("drain_started", in_flight=self._admission.in_flight, grace_s=grace)
        # gRPC stops accepting at once; its own grace is longer than ours, so that we can count whom we cut off.
        stopping = asyncio.create_task(self._grpc.stop(grace + 2 * _LAST_BYTES_S))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._admission.idle(), grace)
        cut = self._admission.in_flight
        await self._grpc.stop(None if cut else _LAST_BYTES_S)
        await stopping
        self._chassis.metrics["rpc_cancelled_at_drain_total"].inc(cut)
        self._log.info("calls_ended", cancelled=cut)

    async def _end_background(self) -> None:
        self._ending.set()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._settings.grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
            self._log.info("background_ended", cancelled=len(late))

    async def _last(self, name: str, work: Callable[[], Awaitable[None]] | None) -> None:
        if work is None:
            return
        try:
            await work()
            self._log.info("last_step_ended", step=name)
        except Exception as error:
            self.failure = self.failure or error
            self._log.error("last_step_failed", error, step=name)

    def _interceptors(self) -> Interceptors:
        settings, chassis = self._settings, self._chassis
        return Interceptors(
            auth=self._auth,
            rates=Rates(settings.rate, chassis.clock, chassis.metrics),
            admission=self._admission,
            tracer=tracer(),
            metrics=chassis.metrics,
            clock=chassis.clock,
            log=chassis.log,
            max_message_bytes=settings.max_message_bytes,
            max_call_s=settings.max_call_s,
        )

    def _keeps_old(self, event: str) -> Callable[[Exception], None]:
        return lambda error: self._chassis.log.error(event, error)


def _write_ready(path: Path, service: str, port: int, metrics_port: int | None) -> None:
    facts = {"service": service, "pid": os.getpid(), "port": port, "metrics_port": metrics_port}
    put_whole(path, json.dumps(facts) + "\n")
