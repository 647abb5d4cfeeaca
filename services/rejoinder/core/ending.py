"""Told to end by a signal: heard once, and nothing but SIGKILL breaks off what follows."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def when_told_to_end(then: Callable[[], object]) -> None:
    """Calls `then` at the first SIGTERM or SIGINT; from then on both are ignored. From the main thread only.

    Ignored, not handled again: an interpreter (and an event loop) that closes gives handled signals back to their
    default, and a second SIGTERM in those last milliseconds would end a drained process as if it had been killed.
    """

    def heard(signum: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        then()

    for each in _SIGNALS:
        signal.signal(each, heard)
