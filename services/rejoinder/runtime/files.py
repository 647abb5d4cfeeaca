"""Files that others read while they change: certificates and tokens, ready files, addresses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


def put_whole(path: Path, text: str) -> None:
    """Written beside and renamed: a reader sees the old file or the new one, never a part. Not flushed to disk: for
    files that mean nothing after a reboot."""
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(text, "utf-8")
    beside.replace(path)


class WatchedFiles(Generic[T]):
    """A value made of files, made anew when one of them changes. owns: the last good value.

    A change that cannot be read (a half-written pair of certificate and key) keeps the old value and is told to
    `failed`; the next look tries again. The first reading raises.
    """

    def __init__(self, paths: tuple[Path, ...], make: Callable[[], T], failed: Callable[[Exception], None]) -> None:
        self._paths = paths
        self._make = make
        self._failed = failed
        self._stamp = self._look()
        self._value = make()

    def get(self) -> T:
        """The value of the files as they are now."""
        stamp = self._look()
        if stamp != self._stamp:
            try:
                self._value = self._make()
                self._stamp = stamp
            except Exception as error:
                self._failed(error)
        return self._value

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        stamps = []
        for path in self._paths:
            try:
                stat = path.stat()
                stamps.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
            except OSError:
                stamps.append((0, 0, 0))
        return tuple(stamps)
