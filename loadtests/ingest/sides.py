"""What is measured: each side takes so many events and says what one acknowledged event cost its process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.ingest.callers import Grpc, Http, NotTaken, all_answered, post
from loadtests.ingest.events import event, plain, requests
from loadtests.ingest.producer import settings_of
from loadtests.processes import Measured, python_of


@dataclass(frozen=True)
class Cost:
    """cpu_us: CPU-microseconds of the process for one acknowledged event (call, where it is empty). rate: of
    them a second."""

    cpu_us: float
    rate: float


@dataclass(frozen=True)
class Side:
    """name: also of its events' ids. batch: events of a call. events: of one round.

    take: sends that many events from number `first` on and returns their cost.
    """

    name: str
    events: int
    take: Callable[[int, int], Cost]


def ours(folder: Path, bootstrap: str, prefix: str) -> Measured:
    """The feedback service as it is deployed, on Kafka, with its defaults."""
    s = settings_of(bootstrap, prefix)
    kafka = {"BOOTSTRAP": s.bootstrap, "PREFIX": s.prefix, "REPLICATION": s.replication, "MIN_INSYNC": s.min_insync}
    environment = {f"REJOINDER_FEEDBACK__LOG__KAFKA__{name}": str(value) for name, value in kafka.items()}
    environment["REJOINDER_FEEDBACK__LOG__KIND"] = "kafka"
    environment["REJOINDER_FEEDBACK__SERVER__PORT"] = "0"
    command = ("-m", "rejoinder.feedback")
    return Measured("feedback", folder, command, environment, "REJOINDER_FEEDBACK__SERVER__READY_FILE")


def empty(folder: Path, kind: str) -> Measured:
    return Measured(f"empty-{kind}", folder, ("-m", "loadtests.ingest.peers.empty_server", kind))


def raw(folder: Path, bootstrap: str, prefix: str) -> Measured:
    command = ("-m", "loadtests.ingest.peers.raw_producer", bootstrap, prefix)
    return Measured("raw", folder, command, answers=True)


def fastapi(folder: Path, bootstrap: str, prefix: str) -> Measured:
    command = ("-m", "loadtests.ingest.peers.fastapi_server", bootstrap, prefix)
    return Measured("fastapi", folder, command, python=python_of("peers"))


def sending(process: Measured, name: str, events: int, window: int, rate: Callable[[], float] = lambda: 0.0) -> Side:
    """The bare producer, with at most so many records on their way; it measures itself, since it makes its records in
    the same process before. rate: how many it sends a second, 0 for as many as go."""

    def take(first: int, count: int) -> Cost:
        found = process.ask({"name": name, "first": first, "count": count, "window": window, "rate": rate()})
        return Cost(found["cpu_us"] / found["acknowledged"], found["acknowledged"] / found["wall_s"])

    return Side(name, events, take)


def serving(process: Measured, name: str, events: int, batch: int, in_flight: int) -> Side:
    def take(first: int, count: int) -> Cost:
        made = list(requests(name, first, count, batch))
        return asyncio.run(_cost(process, Grpc, in_flight, made, count))

    return Side(name, events, take)


def answering(process: Measured, name: str, calls: int, in_flight: int) -> Side:
    """Empty calls: the cost is of a call."""

    def take(first: int, count: int) -> Cost:
        return asyncio.run(_cost(process, Grpc, in_flight, [b""] * count, 0))

    return Side(name, calls, take)


def posting(process: Measured, name: str, events: int, batch: int, in_flight: int) -> Side:
    def take(first: int, count: int) -> Cost:
        numbers = range(first, first + count)
        groups = [[plain(event(name, n)) for n in numbers[at : at + batch]] for at in range(0, count, batch)]
        made = [post(json.dumps(group).encode()) for group in groups]
        return asyncio.run(_cost(process, Http, in_flight, made, count))

    return Side(name, events, take)


async def _cost(
    process: Measured, kind: type[Grpc] | type[Http], in_flight: int, made: Sequence[bytes], expected: int
) -> Cost:
    callers = kind(process.port, in_flight)
    await callers.open()
    try:
        cpu, began = process.cpu_us(), time.monotonic()
        acknowledged = await all_answered(callers.callers, made)
        used, took = process.cpu_us() - cpu, time.monotonic() - began
    finally:
        await callers.close()
    if acknowledged != expected:
        raise NotTaken(f"{acknowledged} of {expected} events were acknowledged")
    done = expected or len(made)
    return Cost(used / done, done / took)
