"""Interactions of an application that must not be held up: a bounded buffer and one thread that sends.

`offer` never blocks and never raises: what does not fit is dropped and counted. What is in the buffer is lost with the
process; an application that may lose nothing calls `record_interactions` and waits for OK.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

from rejoinder.clients.feedback import FeedbackClient, with_ids
from rejoinder.core.errors import Quota, RejoinderError
from rejoinder.core.types import Interaction


@dataclass(frozen=True)
class BufferCounts:
    """offered = recorded + rejected + dropped + waiting. rejected: refused one by one as faulty. failed: requests."""

    offered: int = 0
    recorded: int = 0
    rejected: int = 0
    dropped: int = 0
    failed: int = 0
    waiting: int = 0


class InteractionBuffer:
    """owns: the buffer, its counts and its thread; the client is the caller's.

    max_events: bound of the buffer. batch: events of one request. pause_s: between a request that failed with all its
    tries and the next one.
    """

    def __init__(
        self, client: FeedbackClient, max_events: int = 10_000, batch: int = 200, pause_s: float = 1.0
    ) -> None:
        self._client = client
        self._max = max_events
        self._batch = batch
        self._pause_s = pause_s
        self._events: deque[Interaction] = deque()
        self._counts = BufferCounts()
        self._sending = 0
        self._closing = False
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="rejoinder-buffer", daemon=True)
        self._thread.start()

    def offer(self, event: Interaction) -> bool:
        """True when the event was taken in; false when it was dropped because the buffer is full or closed."""
        event = with_ids([event])[0]
        with self._changed:
            fits = not self._closing and len(self._events) + self._sending < self._max
            if fits:
                self._events.append(event)
                self._changed.notify_all()
            self._add(offered=1, dropped=0 if fits else 1)
            return fits

    def counts(self) -> BufferCounts:
        """Of everything that was offered so far."""
        with self._changed:
            return replace(self._counts, waiting=len(self._events) + self._sending)

    def close(self, timeout_s: float = 5.0) -> BufferCounts:
        """Sends what waits for at most so long, drops and counts the rest. What is on its way then may arrive still: it
        stays `waiting`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._events and not self._sending, timeout_s)
            self._closed = True
            self._add(dropped=len(self._events))
            self._events.clear()
            self._changed.notify_all()
        return self.counts()

    def _run(self) -> None:
        while batch := self._next_batch():
            try:
                results = self._client.record_interactions(batch)
            except Quota:
                self._give_back(batch, behind=True)
                continue
            except RejoinderError:
                self._give_back(batch)
                continue
            recorded = sum(result.recorded for result in results)
            over = [event for event, result in zip(batch, results, strict=True) if result.reason == "QUOTA"]
            with self._changed:
                self._sending = len(over)
                self._add(recorded=recorded, rejected=len(batch) - recorded - len(over))
                self._changed.notify_all()
            if over:
                self._give_back(over, behind=True)

    def _next_batch(self) -> list[Interaction]:
        """Waits for events; [] when the buffer is closed and nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._closing)
            batch = [self._events.popleft() for _ in range(min(self._batch, len(self._events)))]
            self._sending = len(batch)
            return batch

    def _give_back(self, batch: list[Interaction], behind: bool = False) -> None:
        """Puts what no try could send back under its ids; then waits. behind: what was over a quota goes behind the
        others, who may be another tenant's and within theirs."""
        with self._changed:
            self._sending = 0
            if not self._closed:
                self._events.extend(batch) if behind else self._events.extendleft(reversed(batch))
            self._add(failed=1, dropped=len(batch) if self._closed else 0)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed, self._pause_s)

    def _add(self, **more: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + n for name, n in more.items()})
