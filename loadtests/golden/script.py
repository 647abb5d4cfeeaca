"""What the golden server does with request number n: known before it is asked. Pure, but for the slots' books."""

from __future__ import annotations

import heapq
from collections import deque

from rejoinder.core.errors import QueueFull
from rejoinder.runtime.settings import Theme


class Script(Theme):
    """The default answers at once, always and for any number of callers."""

    delays_s: tuple[float, ...] = (0.0,)
    """Request n takes the (n modulo their number)-th of these."""
    refused_every: int = 0
    """Every so many-th request, from 0 on, is refused with QUEUE_FULL at once; 0: none."""
    wrong_every: int = 0
    """Every so many-th request, from 0 on, is answered wrongly; 0: none."""
    slots: int = 0
    """Requests worked on at once, the others wait in their order; 0: any number."""
    max_waiting: int = 10**9
    """Requests beyond the slots; the next one is refused."""


def answer_to(number: int) -> float:
    return float(number) / 2


class Slots:
    """Work that is done in its order. owns: when each slot is free again, when each waiting request will begin."""

    def __init__(self, count: int) -> None:
        self._free = [0.0] * count
        self._begins: deque[float] = deque()

    def take(self, now: float, seconds: float, max_waiting: int) -> float:
        """When work that comes now will be done. Raises QueueFull."""
        while self._begins and self._begins[0] <= now:
            self._begins.popleft()
        begins = max(now, self._free[0])
        if begins > now and len(self._begins) >= max_waiting:
            raise QueueFull("the golden server is full", retry_after_s=0.1)
        self._begins.append(begins)
        heapq.heapreplace(self._free, begins + seconds)
        return begins + seconds


class Golden:
    """Plays a script. owns: the slots' books."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._slots = Slots(script.slots)

    def play(self, number: int, now: float) -> tuple[float, float]:
        """(answer, when it is due on the same clock) for a request that came now. Raises QueueFull."""
        script = self._script
        if script.refused_every and number % script.refused_every == 0:
            raise QueueFull("the golden server refuses this one", retry_after_s=0.1)
        wrong = script.wrong_every and number % script.wrong_every == 0
        seconds = script.delays_s[number % len(script.delays_s)]
        done = self._slots.take(now, seconds, script.max_waiting) if script.slots else now + seconds
        return (-1.0 if wrong else answer_to(number)), done
