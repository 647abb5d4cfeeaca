"""The console process: `python -m rejoinder.console --settings FILE`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from rejoinder.console.app import Pages, app
from rejoinder.console.desk import Desk
from rejoinder.console.pages.answers import Answers
from rejoinder.console.pages.looks import LooksPage
from rejoinder.console.pages.overview import Overview
from rejoinder.console.pages.pairs import Pairs
from rejoinder.console.pages.rollout import RolloutPage
from rejoinder.console.pages.rounds import Rounds
from rejoinder.console.pages.satisfaction import Satisfaction
from rejoinder.console.pages.trace import Trace
from rejoinder.console.render import refusal
from rejoinder.console.sessions import Sessions
from rejoinder.console.settings import ConsoleSettings, LooksTheme
from rejoinder.console.sources import open_files, open_sources
from rejoinder.core.keyfile import kept_key, read_key
from rejoinder.gateway.guard import Guard
from rejoinder.gateway.server import HttpServer, bind
from rejoinder.runtime.admission import Admission
from rejoinder.runtime.callers.auth import Open, authenticator
from rejoinder.runtime.callers.rates import Rates
from rejoinder.runtime.looks import Looks
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.runtime.tracing import tracer


def _key(theme: LooksTheme) -> bytes:
    """Raises BadSettings."""
    if theme.key_file is not None:
        return read_key(theme.key_file, "looks.key_file")
    return kept_key(theme.file.with_name(f"{theme.file.name}.key"))


async def build(settings: ConsoleSettings, chassis: Chassis) -> Room:
    server, http, session = settings.server, settings.http, settings.session
    clock, metrics, log = chassis.clock, chassis.metrics, chassis.log
    unread = partial(log.error, "credentials_not_read")
    auth = await asyncio.to_thread(authenticator, server.auth, http.host, unread, clock)
    sock = bind(http.host, http.port)
    files = await asyncio.to_thread(open_files, settings.policy)
    sources = open_sources(settings, files, isinstance(auth, Open))
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
        refusal=refusal,
    )
    sessions = Sessions(session.idle_s, session.life_s, session.most, clock)
    desk = Desk(guard, auth, sessions, http.hosts, server.tls.cert_file is not None)
    looks = Looks(settings.looks.file, await asyncio.to_thread(_key, settings.looks), "console", clock, log)
    pages = Pages(
        Overview(sources, clock),
        Satisfaction(sources, clock),
        Answers(sources, looks),
        Pairs(sources, looks, clock),
        Rounds(sources),
        RolloutPage(sources, clock),
        Trace(sources, looks),
        LooksPage(sources, looks),
    )
    failed = partial(log.error, "certificate_not_read")
    web = HttpServer(sock, app(guard, desk, pages), guard, http, server.tls, server.grace_s, failed)
    log.info("http_bound", host=http.host, port=web.port)

    async def close() -> None:
        web.close()
        auth.close()
        await sources.close()

    return Room(background=(web.run,), close=close)


if __name__ == "__main__":
    sys.exit(run("console", ConsoleSettings, build))
