"""The observer's HTTP port: the gateway's server, guard and refusals around the routes of this room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rejoinder.gateway.errors import NoRoute, WrongMethod
from rejoinder.gateway.frame import framed
from rejoinder.gateway.guard import Guard, as_json, media_of
from rejoinder.gateway.server import HttpServer, bind
from rejoinder.observe.otlp import JSON
from rejoinder.observe.posted import Posted, Taking
from rejoinder.observe.settings import TURNS, ObserveSettings
from rejoinder.observe.sink import CallSink
from rejoinder.observe.traced import Traced, as_json_status, as_status
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.server import Chassis
from rejoinder.runtime.tracing import tracer

_APP = frozenset({"app", "internal"})
#: Of every response: nothing here is a page.
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"content-security-policy", b"default-src 'none'"))


@dataclass(frozen=True)
class Web:
    """owns: the socket, the channel to the feedback service, who may call."""

    server: HttpServer
    sink: CallSink
    guard: Guard

    async def close(self) -> None:
        self.server.close()
        self.guard.auth.close()
        await self.sink.close()


async def open_web(settings: ObserveSettings, chassis: Chassis) -> Web:
    """Bound, not yet serving. Raises PortBusy, BadSettings."""
    server, http, log = settings.server, settings.http, chassis.log
    mappers = settings.posted()
    sock = bind(http.host, http.port or 0)
    failed = partial(log.error, "credentials_not_read")
    guard = Guard(
        auth=await asyncio.to_thread(authenticator, server.auth, http.host, failed, chassis.clock),
        rates=Rates(server.rate, chassis.clock, chassis.metrics),
        admission=Admission(server.max_in_flight, server.retry_after_s, chassis.metrics),
        tracer=tracer(),
        metrics=chassis.metrics,
        clock=chassis.clock,
        log=log,
        head_bytes=http.head_bytes,
        body_s=http.body_s,
        max_call_s=server.max_call_s,
    )
    sink = CallSink(settings.into)
    taking = Taking(sink, chassis.clock, chassis.metrics)
    posted = Posted(taking, mappers, TURNS, settings.into.tenant, http.max_items)
    traced = Traced(taking, settings.target(http.spans), settings.into.tenant)
    unread = partial(log.error, "certificate_not_read")
    app = _app(guard, posted, traced, http.max_bytes)
    web = HttpServer(sock, app, guard, http, server.tls, server.grace_s, unread)
    log.info("http_bound", host=http.host, port=web.port)
    return Web(web, sink, guard)


class _ByMedia:
    """An exporter reads a refusal in the language of its request."""

    def __init__(self, protobuf: ASGIApp, json: ASGIApp) -> None:
        self._protobuf = protobuf
        self._json = json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answers = self._json if media_of(Headers(scope=scope)) == JSON else self._protobuf
        await answers(scope, receive, send)


def _app(guard: Guard, posted: Posted, traced: Traced, max_bytes: int) -> ASGIApp:
    turns = guard.route("POST /v1/turns", posted.turns, _APP, max_bytes, packed=True)
    feedback = guard.route("POST /v1/feedback", posted.reactions, _APP, max_bytes)
    traces = _ByMedia(
        *(
            guard.route("POST /v1/traces", traced.traces, _APP, max_bytes, packed=True, refusal=refusal)
            for refusal in (as_status, as_json_status)
        )
    )
    routes = [
        *(Route(path, turns, methods=["POST"]) for path in ("/v1/turns", "/v1/turns/{source}")),
        Route("/v1/feedback", feedback, methods=["POST"]),
        Route("/v1/traces", traces, methods=["POST"]),
    ]
    return framed(routes, guard, _HEADERS, as_json, NoRoute("no such URL"), WrongMethod("the URL has another method"))
