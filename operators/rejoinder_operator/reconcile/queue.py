"""Level-based work: a key says only that its object must be looked at. One worker has a key at a time; a key that is
added meanwhile is looked at once more; a failing one waits longer each time and holds up nobody."""

from __future__ import annotations

import heapq
import threading
from random import Random
from typing import Generic, TypeVar

from rejoinder.core.clock import Clock

K = TypeVar("K")

#: Seconds of the first pause after a failure, and of the longest.
FIRST_S, LONGEST_S = 1.0, 300.0


class WorkQueue(Generic[K]):
    """owns: the keys and when they are due. clock: its monotonic side. jitter: draws a pause's upper half."""

    def __init__(self, clock: Clock, jitter: Random) -> None:
        self._clock = clock
        self._jitter = jitter
        self._changed = threading.Condition()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = 0
        self._working: set[K] = set()
        self._failures: dict[K, int] = {}
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._due)

    def add(self, key: K, after_s: float = 0.0) -> None:
        """Due after so many seconds, unless it is due sooner already."""
        with self._changed:
            at = self._clock.monotonic() + after_s
            if self._due.get(key, float("inf")) <= at:
                return
            self._due[key] = at
            self._order += 1
            heapq.heappush(self._heap, (at, self._order, key))
            self._changed.notify()

    def take(self, wait_s: float) -> K | None:
        """A due key nobody works on; None after wait_s without one, or once closed. `done` gives it back."""
        end = self._clock.monotonic() + wait_s
        with self._changed:
            while not self._closed:
                now = self._clock.monotonic()
                key, at = self._first(now)
                if key is not None:
                    del self._due[key]
                    self._working.add(key)
                    return key
                left = min(end, at) - now
                if now >= end:
                    return None
                self._changed.wait(max(0.001, left))
        return None

    def done(self, key: K) -> None:
        """Looked at; nothing of an earlier failure is left."""
        with self._changed:
            self._failures.pop(key, None)
            self._given_back(key)

    def failed(self, key: K) -> float:
        """Looked at in vain: due again after a pause that doubles. Answers the pause in seconds."""
        with self._changed:
            count = self._failures[key] = self._failures.get(key, 0) + 1
            pause = min(LONGEST_S, FIRST_S * 2.0 ** min(count - 1, 20))
            pause *= 0.5 + 0.5 * self._jitter.random()
            self._given_back(key)
        self.add(key, pause)
        return pause

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _given_back(self, key: K) -> None:
        self._working.discard(key)
        if key in self._due:
            heapq.heappush(self._heap, (self._due[key], self._order, key))
        self._changed.notify()

    def _first(self, now: float) -> tuple[K | None, float]:
        """The first due key, else when the next one is."""
        while self._heap:
            at, _, key = self._heap[0]
            if self._due.get(key) != at or key in self._working:
                heapq.heappop(self._heap)  # moved, or given back with `done`
                continue
            if at > now:
                return None, at
            heapq.heappop(self._heap)
            return key, at
        return None, float("inf")
