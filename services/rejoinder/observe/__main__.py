"""The observer: `python -m rejoinder.observe --settings FILE`. Over gRPC it answers health, nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rejoinder.observe.follow import FileMember, placed
from rejoinder.observe.letters import Letters
from rejoinder.observe.observer import Manner, Observer
from rejoinder.observe.positions import Positions
from rejoinder.observe.settings import ObserveSettings
from rejoinder.observe.sink import ServiceSink
from rejoinder.observe.topics import open_topics
from rejoinder.observe.web import open_web
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room


async def build(settings: ObserveSettings, chassis: Chassis) -> Room:
    parts: list[_Part] = []
    try:
        if settings.http.port is not None:
            web = await open_web(settings, chassis)
            parts.append(_Part(web.server.run, web.close))
        if settings.topics:
            parts.append(await _topics(settings, chassis))
        if settings.files.follow:
            parts.append(await _files(settings, chassis))
    except BaseException:
        await _close(parts)
        raise
    return Room(background=[part.run for part in parts], close=partial(_close, parts))


@dataclass(frozen=True)
class _Part:
    """One way in. run: until it is told to stop. close: after it."""

    run: Callable[[asyncio.Event], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


async def _close(parts: Sequence[_Part]) -> None:
    for part in parts:
        await part.close()


async def _topics(settings: ObserveSettings, chassis: Chassis) -> _Part:
    # The library takes a moment, and not everybody has brokers.
    from rejoinder.stream.kafka.foreign import Start

    # What a person must mend is told before anybody is asked for anything.
    mappers, start, key = settings.mappers(), settings.start(), settings.key()
    topics = await asyncio.to_thread(open_topics, settings)
    sink = await asyncio.to_thread(ServiceSink, settings.into)
    letters = Letters(key, settings.into.tenant, chassis.clock)
    read = settings.read
    ending = threading.Event()

    def observe() -> None:
        # One thread from joining to leaving: the member is its own.
        member = topics.join(read.group, read.member, Start(start))
        try:
            Observer(
                member=member,
                sink=sink,
                mappers=mappers,
                ids=topics.ids,
                letters=letters,
                order=settings.keeping(),
                manner=_manner(settings),
                clock=chassis.clock,
                metrics=chassis.metrics,
                log=chassis.log,
                wait=ending.wait,
            ).run(ending.is_set)
        finally:
            member.close()

    async def close() -> None:
        ending.set()
        await asyncio.to_thread(sink.close)
        await asyncio.to_thread(topics.close)

    return _Part(partial(_on_a_thread, observe, ending), close)


async def _files(settings: ObserveSettings, chassis: Chassis) -> _Part:
    mappers, key, files = settings.followed(), settings.key(), settings.files
    sink = await asyncio.to_thread(ServiceSink, settings.into)
    letters = Letters(key, settings.into.tenant, chassis.clock)
    positions = await asyncio.to_thread(Positions, files.state)
    ending = threading.Event()

    def follow() -> None:
        named = {theme.name: theme.paths for theme in files.follow}
        member = FileMember(
            named, positions, files.max_line_bytes, files.look_s, files.most, chassis.clock, chassis.log, ending.wait
        )
        try:
            Observer(
                member=member,
                sink=sink,
                mappers=mappers,
                ids={},
                letters=letters,
                order=settings.keeping(),
                manner=_manner(settings),
                clock=chassis.clock,
                metrics=chassis.metrics,
                log=chassis.log,
                wait=ending.wait,
                placed=placed,
                lag="observe_lag_bytes",
            ).run(ending.is_set)
        finally:
            member.close()

    async def close() -> None:
        ending.set()
        await asyncio.to_thread(sink.close)

    return _Part(partial(_on_a_thread, follow, ending), close)


def _manner(settings: ObserveSettings) -> Manner:
    read, faults = settings.read, settings.faults
    return Manner(
        poll_s=read.poll_s,
        batch=read.batch,
        look_s=read.look_s,
        backoff_max_s=settings.into.backoff_max_s,
        stops=faults.unmapped == "stop",
        poison_limit=faults.poison_limit,
    )


async def _on_a_thread(work: Callable[[], None], ending: threading.Event, stop: asyncio.Event) -> None:
    async def told() -> None:
        await stop.wait()
        ending.set()

    telling = asyncio.create_task(told())
    try:
        await asyncio.to_thread(work)
    finally:
        ending.set()
        telling.cancel()


def main(argv: list[str] | None = None, env: Mapping[str, str] = os.environ) -> int:
    return run("observe", ObserveSettings, build, argv, env)


if __name__ == "__main__":
    sys.exit(main())
