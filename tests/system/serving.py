"""Any room as a real server on a free loopback port."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from rejoinder.core.clock import SystemClock
from rejoinder.core.metrics import Metrics
from rejoinder.runtime.logging import EventLog
from rejoinder.runtime.server import Chassis, Room, Server


@dataclass(frozen=True)
class Served:
    target: str
    metrics: Metrics


@asynccontextmanager
async def served(
    service: str, settings: Any, build: Callable[[Any, Chassis], Awaitable[Room]]
) -> AsyncIterator[Served]:
    """A started server of a room, drained at the end. settings: with a theme `server` (port 0)."""
    metrics = Metrics()
    chassis = Chassis(service, SystemClock(), metrics, EventLog(logging.Logger(service, logging.CRITICAL)))
    server = Server(settings.server, partial(build, settings), chassis)
    await server.start()
    try:
        yield Served(f"127.0.0.1:{server.port}", metrics)
    finally:
        await server.drain()
