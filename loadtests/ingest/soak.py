"""A steady load for long, and what it does to the service's memory."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median

from loadtests.ingest import sides
from loadtests.ingest.callers import Grpc, NotTaken
from loadtests.ingest.events import requests
from loadtests.processes import Measured

_BATCH = 50
_SAMPLES = 300


@dataclass(frozen=True)
class Memory:
    """half, end: resident bytes, the median over a tenth of the time before each. events: acknowledged."""

    seconds: float
    half: float
    end: float
    events: int


def soak(folder: Path, bootstrap: str, prefix: str, seconds: float, rate: float) -> Memory:
    """rate: events a second, in calls of 50, sent at their times whatever the answers do. Raises NotTaken."""
    with sides.ours(folder, bootstrap, prefix) as process:
        return asyncio.run(_soak(process, seconds, rate))


async def _soak(process: Measured, seconds: float, rate: float) -> Memory:
    callers = Grpc(process.port, 1)
    await callers.open()
    samples: list[tuple[float, int]] = []
    acknowledged, sent = 0, 0
    began = time.monotonic()
    running: set[asyncio.Task[int]] = set()
    try:
        for number in count():
            at = number * _BATCH / rate
            if at >= seconds:
                break
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            (request,) = requests("soak", number * _BATCH, _BATCH, _BATCH)
            running.add(asyncio.ensure_future(callers.callers[0](request)))
            sent += _BATCH
            done = {task for task in running if task.done()}
            acknowledged += sum(task.result() for task in done)
            running -= done
            if len(samples) * seconds <= at * _SAMPLES:
                samples.append((at, process.rss_bytes()))
        acknowledged += sum(await asyncio.gather(*running))
    finally:
        await callers.close()
    if acknowledged != sent:
        raise NotTaken(f"{acknowledged} of {sent} events were acknowledged")

    def around(part: float) -> float:
        return median(rss for at, rss in samples if (part - 0.1) * seconds <= at <= part * seconds)

    return Memory(seconds, around(0.5), around(1.0), acknowledged)
