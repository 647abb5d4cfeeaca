"""An event loop on which time passes only while nobody has anything to do: what takes an hour takes no time, exactly.

    with virtual_loop() as loop:
        loop.run_until_complete(...)

`asyncio.sleep`, timeouts and `loop.time()` are of this time. What is handed to a thread runs at once and is answered
after the virtual seconds that it spent with `loop.spend`. No sockets: they would wait in real time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """owns: its time, from 0 on."""

    def __init__(self) -> None:
        self._now = 0.0
        self._spent = 0.0
        super().__init__(_Jumping(self))
        # Two times closer than a tenth of a nanosecond are one: sums of floats.
        self._clock_resolution = 1e-10

    def time(self) -> float:
        return self._now

    def now(self) -> float:
        """As a Clock has it."""
        return 1_700_000_000.0 + self._now

    def monotonic(self) -> float:
        return self._now

    def spend(self, seconds: float) -> None:
        """Within a function that runs in a thread: it took so long."""
        self._spent += seconds

    def jump(self, seconds: float) -> None:
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        done: asyncio.Future[Any] = self.create_future()
        self._spent = 0.0
        try:
            end = partial(done.set_result, func(*args))
        except Exception as error:
            end = partial(done.set_exception, error)
        self.call_later(self._spent, lambda: None if done.done() else end())
        return done


class _Jumping(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Does not wait: the loop's time jumps by as much."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that no time brings")
        self._loop.jump(max(timeout, 0.0))
        return super().select(0)


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    try:
        yield loop
    finally:
        loop.close()
