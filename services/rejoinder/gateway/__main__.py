"""The gateway process: `python -m rejoinder.gateway --settings FILE`."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.feedback import AsyncFeedbackClient
from rejoinder.clients.policy import AsyncPolicyClient
from rejoinder.clients.rerank import AsyncRerankClient
from rejoinder.core.arms import Version
from rejoinder.core.errors import BadSettings, NotFound
from rejoinder.core.ids import uuid7
from rejoinder.gateway.adapters import Adapters
from rejoinder.gateway.app import Rooms, app
from rejoinder.gateway.arms import Drawing, Known
from rejoinder.gateway.chat import Chat
from rejoinder.gateway.feedback import Collect
from rejoinder.gateway.followups import FollowUps
from rejoinder.gateway.guard import TRACE, Guard
from rejoinder.gateway.marks import Marker
from rejoinder.gateway.meter import Meter
from rejoinder.gateway.models import Models
from rejoinder.gateway.openai import Forward
from rejoinder.gateway.openai_server import OpenAiServer, Watch, wire_of
from rejoinder.gateway.policy import PolicyUpstream
from rejoinder.gateway.rerank import Rerank
from rejoinder.gateway.server import HttpServer, bind
from rejoinder.gateway.service import ArmsService
from rejoinder.gateway.settings import GatewaySettings
from rejoinder.gateway.tokens import Tokens
from rejoinder.registry.artefacts import Artefacts
from rejoinder.registry.served import ServedPointer
from rejoinder.registry.store import open_store
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.arms.follow import ArmsFollower, Registry, table_of
from rejoinder.runtime.arms.theme import open_log
from rejoinder.runtime.callers.auth import authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.callers.theme import CallerTheme
from rejoinder.runtime.recorder import FeedbackSender
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.spool import Spool, SpoolSettings
from rejoinder.runtime.tracing import tracer
from rejoinder.v1 import policy_pb2_grpc

#: Tries of a call that did not begin: the caller's own client tries again too.
_TRIES = 3


@dataclass
class _Parts:
    """What an upstream brings to the process. closing: in this order, after flushing."""

    upstream: PolicyUpstream | Forward
    add: list[Callable[..., None]] = field(default_factory=list)
    background: list[Callable[[asyncio.Event], Awaitable[None]]] = field(default_factory=list)
    warm_up: Callable[[], Awaitable[None]] | None = None
    flush: Callable[[], Awaitable[None]] | None = None
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)


def _connection(address: str, theme: CallerTheme) -> Connection:
    return Connection(address, theme.tls, token_in(theme.token_file), tries=_TRIES, traceparent=TRACE.get)


def _names(settings: GatewaySettings) -> tuple[str, ...]:
    return (settings.upstream.model, *settings.upstream.aliases)


def _before_policy(settings: GatewaySettings, chassis: Chassis, marker: Marker) -> _Parts:
    at, model = settings.upstream.policy, settings.upstream.model
    client = AsyncPolicyClient(_connection(at.address, at))
    upstream = PolicyUpstream(client, marker, chassis.clock, model, frozenset(_names(settings)))
    return _Parts(upstream, closing=[client.close])


def _path_of(template: str, registry: Registry | None, version: Version) -> str:
    """Where a vLLM server finds a version's adapter. Raises NotFound where the registry does not know what trained."""
    trained = ""
    if "{trained}" in template:
        trained = registry.trained(version.version) if registry is not None else ""
        if not trained:
            raise NotFound("the registry does not say where the version's adapter lies", version=version.version)
    said = {"{trained}": trained, "{digest}": version.digest, "{version}": version.version}
    for name, value in said.items():
        template = template.replace(name, value)
    return template


def _is_path_of(template: str, path: str) -> bool:
    """Whether some version's adapter would lie there."""
    fixed = re.split(r"\{(?:trained|digest|version)\}", template.rstrip("/"))
    return re.fullmatch("[^/]+".join(map(re.escape, fixed)), path.rstrip("/")) is not None


async def _before_openai(settings: GatewaySettings, chassis: Chassis, marker: Marker) -> _Parts:
    theme, arms, record = settings.upstream.openai, settings.arms, settings.record
    clock, meter = chassis.clock, Meter(chassis.metrics, chassis.log)
    known = Known(theme.models)
    stable = Version(theme.stable or settings.upstream.model)
    pointer = ServedPointer(settings.upstream.model, 0, stable.version, stable.digest)
    registry = None
    if arms.registry:
        # Nothing of an artefact is read here: the folder is never made.
        artefacts = Artefacts(await asyncio.to_thread(open_store, arms.registry), record.spool / "artefacts")
        registry = Registry(artefacts, settings.upstream.model)
        try:
            pointer = await asyncio.to_thread(registry.pointer)
        except Exception as error:
            # Answers flow all the same, from what the settings call stable; the follower looks again.
            chassis.log.warning("pointer_not_read", reason=getattr(error, "reason", type(error).__name__))
    view = ArmsView(table_of(pointer, arms.holdout_share), clock)
    known.pin([view.table.stable])
    sender = FeedbackSender(record.feedback, meter.rejected, record.token_file, record.tls)
    spool = Spool(record.spool, SpoolSettings(max_bytes=record.spool_max_bytes), sender, meter.no_room)
    meter.watch(view, spool)
    counter = AssignmentCounter(uuid7(clock.now()))
    wire = wire_of(theme)
    server = OpenAiServer(wire, theme.url, theme.key_file, meter, theme.connect_s)
    drawing = Drawing(view, known, counter, spool, meter, clock)
    names = frozenset(_names(settings))
    upstream = Forward(server, drawing, known, spool, marker, meter, clock, names, theme)
    parts = _Parts(upstream)
    look = server.listed
    if theme.server == "vllm":
        path_of = partial(_path_of, theme.lora_path, registry)
        ours = partial(_is_path_of, theme.lora_path)
        look = Adapters(server, known, theme.base or stable.version, path_of, ours, clock, chassis.log).see
    watch = Watch(look, known, theme.poll_s, chassis.log)
    # Before the first call: nobody knows until then by which names the server answers.
    parts.warm_up = watch.once
    parts.background.append(watch.run)
    if registry is not None:
        log = await asyncio.to_thread(open_log, arms, "rejoinder-gateway")
        follower = ArmsFollower(view, known, registry, pointer, log, chassis.log, arms.poll_s, arms.registry_poll_s)
        parts.background.append(follower.run)
        if log is not None:
            parts.closing.append(partial(asyncio.to_thread, log.close))

    async def flush() -> None:
        empty = await asyncio.to_thread(spool.drain, record.drain_s)
        chassis.log.info("spool_drained", empty=empty, bytes=spool.waiting_bytes)

    async def close() -> None:
        await wire.aclose()
        await asyncio.to_thread(spool.close)
        sender.close()

    parts.flush = flush
    parts.closing.append(close)
    service = ArmsService(view, known, counter)
    parts.add.append(partial(policy_pb2_grpc.add_PolicyServiceServicer_to_server, service))
    return parts


async def build(settings: GatewaySettings, chassis: Chassis) -> Room:
    server, http, browser, record = settings.server, settings.http, settings.browser, settings.record
    clock, metrics, log = chassis.clock, chassis.metrics, chassis.log
    if browser.old_key_file is not None and browser.key_file is None:
        raise BadSettings("browser.old_key_file needs browser.key_file")
    sock = bind(http.host, http.port)
    tokens = None
    if browser.key_file is not None:
        unread = partial(log.error, "feedback_key_not_read")
        tokens = Tokens(browser.key_file, browser.old_key_file, browser.token_s, clock, unread)
    marker = Marker(tokens)
    if settings.upstream.kind == "policy":
        parts = _before_policy(settings, chassis, marker)
    else:
        parts = await _before_openai(settings, chassis, marker)
    feedback = AsyncFeedbackClient(_connection(record.feedback, record))
    follow_ups = FollowUps(feedback, clock, metrics, settings.upstream.kind == "openai")
    ranks = settings.rerank
    ranker = None
    if ranks.address:
        ranker = AsyncRerankClient(_connection(ranks.address, ranks))
    failed = partial(log.error, "credentials_not_read")
    auth = await asyncio.to_thread(authenticator, server.auth, http.host, failed, clock)
    guard = Guard(
        auth=auth,
        rates=Rates(server.rate, clock, metrics),
        admission=Admission(server.max_in_flight, server.retry_after_s, metrics),
        tracer=tracer(),
        metrics=metrics,
        clock=clock,
        log=log,
        head_bytes=http.head_bytes,
        body_s=http.body_s,
        max_call_s=server.max_call_s,
    )
    rooms = Rooms(
        Chat(parts.upstream, clock, settings.upstream.max_choices, follow_ups if record.follow_ups else None),
        Models(parts.upstream, _names(settings), clock),
        Rerank(ranker, marker, clock),
        Collect(feedback, tokens, browser.max_items, clock, metrics),
    )
    made = app(guard, rooms, server.max_message_bytes, browser.max_bytes, browser.origins)
    web = HttpServer(sock, made, guard, http, server.tls, server.grace_s, partial(log.error, "certificate_not_read"))
    log.info("http_bound", host=http.host, port=web.port)

    async def flush() -> None:
        await follow_ups.flush(record.drain_s)
        if parts.flush is not None:
            await parts.flush()

    async def close() -> None:
        web.close()
        auth.close()
        for end in (feedback.close, *([] if ranker is None else [ranker.close]), *parts.closing):
            await end()

    background = (web.run, follow_ups.run, *parts.background)
    return Room(add=parts.add, warm_up=parts.warm_up, background=background, flush=flush, close=close)


if __name__ == "__main__":
    sys.exit(run("gateway", GatewaySettings, build))
