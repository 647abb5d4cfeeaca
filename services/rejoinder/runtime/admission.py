"""How many calls are at work at once: the next one is refused with a delay to wait, so nothing queues unseen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from rejoinder.core.errors import QueueFull
from rejoinder.core.metrics import Metrics


class Admission:
    """owns: the count of calls at work. Lives on one event loop."""

    def __init__(self, max_in_flight: int, retry_after_s: float, metrics: Metrics) -> None:
        self._max = max_in_flight
        self._retry_after_s = retry_after_s
        self._idle = asyncio.Event()
        self._idle.set()
        self.in_flight = 0
        metrics["rpc_in_flight"].set_function(lambda: self.in_flight)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Holds a slot. Raises QueueFull when there is none."""
        if self.in_flight >= self._max:
            raise QueueFull("too many calls at work", retry_after_s=self._retry_after_s, limit=self._max)
        self._moved(1)
        try:
            yield
        finally:
            self._moved(-1)

    async def idle(self) -> None:
        """Returns when no call is at work."""
        await self._idle.wait()

    def _moved(self, by: int) -> None:
        self.in_flight += by
        if self.in_flight:
            self._idle.clear()
        else:
            self._idle.set()
