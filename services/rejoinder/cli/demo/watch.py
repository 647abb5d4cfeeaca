"""A rollout's status over time: somebody looks while people talk, and not only when they pause."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rejoinder.clients.rollouts import Rollout
from rejoinder.core.errors import RejoinderError

#: Seconds between two looks: the engine itself judges no faster than every half second.
EVERY_S = 1.0


class Watch:
    """owns: the thread that looks, from entering to leaving, and `points`: (seconds since entering, the status then),
    in the order of the looks. get: asks the engine; it may be called from several threads, one at a time."""

    def __init__(self, get: Callable[[], Rollout], every_s: float = EVERY_S) -> None:
        self.points: list[tuple[float, Rollout]] = []
        self._get = get
        self._every_s = every_s
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> Rollout:
        """The status now, kept as a point. Raises what the engine's client raises."""
        with self._one:
            now = self._get()
            self.points.append((time.monotonic() - self._began, now))
            return now

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.look()
            except RejoinderError:
                # A picture lacks a point; whoever drives the rollout asks too, and hears of it.
                continue
