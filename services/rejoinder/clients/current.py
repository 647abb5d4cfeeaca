"""The channel that holds now: made anew once the files of its certificates are others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from rejoinder.clients.connection import Tls
from rejoinder.core.errors import Unavailable

C = TypeVar("C")


class CurrentChannel(Generic[C]):
    """owns: the channel, and those before it until their last call has ended.

    make: a channel of the files as they are now. Connections that stand keep the certificate they were made with; every
    later one needs the present one, or a client would be shut out by the expiry of what it read at its start. One that
    was replaced must go, or it would connect with the old certificate for ever.
    """

    def __init__(self, tls: Tls | None, make: Callable[[], C]) -> None:
        self._tls = tls
        self._make = make
        self._lock = Lock()
        self._stamp = None if tls is None else tls.stamp()
        self._now = make()
        self._users: Counter[C] = Counter()
        self._closed = False

    def take(self) -> C:
        """For one try of a call; give it to `release` after. Raises Unavailable once it is closed."""
        self.check()
        if self._tls is None:
            return self._now
        with self._lock:
            stamp = self._tls.stamp()
            if stamp != self._stamp and not self._closed:
                try:
                    made = self._make()
                except OSError:
                    # Files that are being replaced, a certificate without its key yet: the next try looks again.
                    pass
                else:
                    self._users.setdefault(self._now, 0)
                    self._now, self._stamp = made, stamp
            self._users[self._now] += 1
            return self._now

    @property
    def closed(self) -> bool:
        return self._closed

    def check(self) -> None:
        """Raises Unavailable once it is closed: what gRPC says to such a call is no error of a call."""
        if self._closed:
            raise Unavailable("this client is closed")

    def release(self, channel: C) -> list[C]:
        """Those that nobody will use again: the caller closes them."""
        if self._tls is None:
            return []
        with self._lock:
            self._users[channel] -= 1
            ended = [each for each, users in self._users.items() if users == 0 and each is not self._now]
            for each in ended:
                del self._users[each]
            return ended

    def close(self) -> list[C]:
        """All of them, for the caller to close; none is made any more."""
        with self._lock:
            self._closed = True
            return [self._now, *(each for each in self._users if each is not self._now)]
