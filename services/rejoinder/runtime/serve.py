"""A process: arguments, settings, log, signals, exit code. `run` is all that a `__main__` calls."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rejoinder.core import redact
from rejoinder.core.clock import SystemClock
from rejoinder.core.ending import when_told_to_end
from rejoinder.core.errors import RejoinderError
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.logging import EventLog, event_log
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import Theme, load

#: Exit codes: drained on a signal; failed at work; could not start as it was told to, and a person must mend it.
DRAINED, FAILED, REFUSED = 0, 1, 2

#: New objects between two collections of a settled process (see `run`). Briefly, as Python does: a look takes a
#: fraction of a millisecond, for calls that somebody waits for. Rarely: a request of a thousand events makes twenty
#: times as many, and they end with it; where they do not, a look holds all calls for 20 ms.
BRIEFLY, RARELY = 700, 20_000

_MENDABLE = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})

T = TypeVar("T", bound=Theme)


def run(
    service: str,
    settings_class: type[T],
    build: Callable[[T, Chassis], Awaitable[Room]],
    argv: Sequence[str] | None = None,
    env: Mapping[str, str] = os.environ,
    settled: int = 0,
) -> int:
    """Runs a service until SIGTERM or SIGINT; returns the exit code. The settings class has a theme `server`.

    settled: new objects between two collections of a process where what the start has made lives as long as the
    process: they pass over it. 0 for one that lets go of what it has loaded.
    """
    parser = argparse.ArgumentParser(prog=f"python -m rejoinder.{service}")
    parser.add_argument("--settings", type=Path, help="YAML file; the environment overrides it")
    arguments = parser.parse_args(argv)
    try:
        settings: Any = load(settings_class, service, arguments.settings, env)
        log = event_log(service, sys.stderr, settings.server.library_text)
        log.info("settings_read", **redact.masked(settings.model_dump()))
        chassis = Chassis(service, SystemClock(), Metrics(), log)
        return asyncio.run(_live(settings, partial(build, settings), chassis, log, settled))
    except RejoinderError as error:
        print(f"rejoinder {service}: {error.message} [{error.reason}]", file=sys.stderr)
        return REFUSED if error.status in _MENDABLE else FAILED


@contextmanager
def _collecting(every: int) -> Iterator[None]:
    """No collection looks at what is there already."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(every, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def _live(
    settings: Any, build: Callable[[Chassis], Awaitable[Room]], chassis: Chassis, log: EventLog, settled: int
) -> int:
    told = asyncio.Event()
    when_told_to_end(partial(asyncio.get_running_loop().call_soon_threadsafe, told.set))
    server = Server(settings.server, build, chassis)
    starting = asyncio.create_task(server.start())
    stopping = asyncio.create_task(told.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return DRAINED
    try:
        starting.result()
    except RejoinderError:
        raise
    except Exception as error:
        log.error("start_failed", error)
        return FAILED
    failing = asyncio.create_task(server.failed.wait())
    with _collecting(settled) if settled else nullcontext():
        await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
    await server.drain()
    for task in (stopping, failing):
        task.cancel()
    return DRAINED if server.failure is None else FAILED
