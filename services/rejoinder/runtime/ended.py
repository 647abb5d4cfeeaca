"""Ends of work on other threads, brought to the event loop: as many as there are by then in one wake-up of it."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class Ended:
    """Waits on one event loop for futures of other threads. owns: what has ended and was not told yet.

    `asyncio.wrap_future` wakes the loop for each future, by a byte through a socket and a turn of its own.
    """

    def __init__(self) -> None:
        self._ended: deque[tuple[Future[Any], asyncio.Future[Any]]] = deque()
        self._waking = False

    async def wait(self, future: Future[T]) -> T:
        """The future's result, or what it raised. A caller who leaves cancels nothing: others may share the work."""
        if future.done():
            return future.result()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(lambda done: self._end(done, waiter, loop))
        return await waiter

    def _end(self, done: Future[T], waiter: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
        """On whichever thread ended it. An end that finds the loop woken already is in time: `_tell` looks for more
        only after it has said that it may be woken again."""
        self._ended.append((done, waiter))
        if not self._waking:
            self._waking = True
            # The loop was closed: nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._waking = False
        while self._ended:
            done, waiter = self._ended.popleft()
            if waiter.done():
                continue
            try:
                waiter.set_result(done.result())
            except Exception as error:
                waiter.set_exception(error)
