"""When to try again, and after how long: a plan without a clock or a socket of its own."""

from __future__ import annotations

import random

from rejoinder.clients.connection import Connection
from rejoinder.clients.errors import UNSENT
from rejoinder.core.errors import (
    Draining,
    FailedPrecondition,
    Loading,
    Quota,
    RejoinderError,
    ResourceExhausted,
    Unavailable,
)


class Retries:
    """The tries of one call. owns: how many there were.

    idempotent: a call that may have been executed may be sent again. A call that is not is sent again only when the
    server said that it did not begin, or where none has seen it.
    """

    def __init__(self, connection: Connection, idempotent: bool, deadline: float, rng: random.Random) -> None:
        self._connection = connection
        self._idempotent = idempotent
        self._deadline = deadline
        self._rng = rng
        self._tries = 0

    def pause(self, error: RejoinderError, now: float) -> float | None:
        """Seconds to wait before the next try; None when the error is the call's answer.

        now and the deadline are readings of one monotonic clock.
        """
        self._tries += 1
        if self._tries >= self._connection.tries or not self._may_repeat(error):
            return None
        ceiling = min(self._connection.max_backoff_s, 2 * self._connection.backoff_s * 2 ** (self._tries - 1))
        pause = (error.retry_after_s or 0.0) + self._rng.uniform(0, ceiling)
        return pause if now + pause < self._deadline else None

    def _may_repeat(self, error: RejoinderError) -> bool:
        if isinstance(error, FailedPrecondition) or (isinstance(error, Quota) and error.retry_after_s is None):
            return False
        if error.metadata.items() >= UNSENT.items():
            return True
        if isinstance(error, (ResourceExhausted, Loading, Draining)):
            return self._idempotent or error.reason != "RESOURCE_EXHAUSTED"
        return self._idempotent and isinstance(error, Unavailable)
