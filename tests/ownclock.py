"""A clock that stands still while this process does: for what may not wait, on a machine that makes everybody wait.

    with OwnClock() as clock:
        began = clock.now()
        …
        assert clock.now() - began < 0.25

A thread wakes every few milliseconds; where it does not, nobody here ran (others had the machine, or a signal stopped
us), and that time is taken off. A call that waits for somebody else lets the thread wake, and is charged in full.
`Standstill` answers the same of spans that were measured already.
"""

from __future__ import annotations

import threading
import time

_TICK_S = 0.005
#: Later than this, a wake-up tells of time that was not ours.
_LATE_S = 0.1


class OwnClock:
    """owns: a thread within the block, and how much time was not ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lost = 0.0
        self._woke = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._tick, name="own-clock", daemon=True)

    def __enter__(self) -> OwnClock:
        self._woke = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        self._thread.join()

    def now(self) -> float:
        """Seconds since some moment, without those in which nobody of this process ran."""
        with self._lock:
            return self._taken(time.monotonic())

    def _tick(self) -> None:
        while not self._ending.wait(_TICK_S):
            with self._lock:
                self._taken(time.monotonic())
                self._woke = time.monotonic()

    def _taken(self, now: float) -> float:
        # Whoever asks first after a pause may be quicker than the thread.
        late = now - self._woke
        if late > _LATE_S:
            self._lost += late
            self._woke = now
        return now - self._lost


class Standstill:
    """Times at which this process itself stood still: what a busy host took is no delay of whoever was being waited
    for. owns: a thread that looks at the clock, while the block lasts."""

    def __init__(self, tick_s: float = 0.02) -> None:
        self._tick_s = tick_s
        self._found: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, name="standstill", daemon=True)

    def __enter__(self) -> Standstill:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def within(self, began: float, ended: float) -> float:
        """Seconds of a span of monotonic time; of one that is over for a while."""
        return sum(max(0.0, min(b, ended) - max(a, began)) for a, b in self._found)

    def _look(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(self._tick_s):
            now = time.monotonic()
            if now - last > 2 * self._tick_s:
                self._found.append((last + self._tick_s, now))
            last = now
