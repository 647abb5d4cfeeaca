"""The observer: `python -m rejoinder.observe --settings FILE`. It answers health and metrics, nothing else."""

from __future__ import annotations

import asyncio
import sys
import threading

from rejoinder.observe.letters import Letters
from rejoinder.observe.observer import Manner, Observer
from rejoinder.observe.settings import ObserveSettings
from rejoinder.observe.sink import ServiceSink
from rejoinder.observe.topics import open_topics
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.stream.kafka.foreign import Start


async def build(settings: ObserveSettings, chassis: Chassis) -> Room:
    # What a person must mend is told before anybody is asked for anything.
    mappers, start, key = settings.mappers(), settings.start(), settings.key()
    topics = await asyncio.to_thread(open_topics, settings)
    sink = await asyncio.to_thread(ServiceSink, settings.into)
    letters = Letters(key, settings.into.tenant, chassis.clock)
    read, faults = settings.read, settings.faults
    manner = Manner(
        poll_s=read.poll_s,
        batch=read.batch,
        look_s=read.look_s,
        backoff_max_s=settings.into.backoff_max_s,
        stops=faults.unmapped == "stop",
        poison_limit=faults.poison_limit,
    )
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
                manner=manner,
                clock=chassis.clock,
                metrics=chassis.metrics,
                log=chassis.log,
                wait=ending.wait,
            ).run(ending.is_set)
        finally:
            member.close()

    async def observing(stop: asyncio.Event) -> None:
        async def told() -> None:
            await stop.wait()
            ending.set()

        telling = asyncio.create_task(told())
        try:
            await asyncio.to_thread(observe)
        finally:
            ending.set()
            telling.cancel()

    async def close() -> None:
        ending.set()
        await asyncio.to_thread(sink.close)
        await asyncio.to_thread(topics.close)

    return Room(background=(observing,), close=close)


def main(argv: list[str] | None = None) -> int:
    return run("observe", ObserveSettings, build, argv)


if __name__ == "__main__":
    sys.exit(main())
