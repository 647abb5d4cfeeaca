"""How much memory a process and everything it has started use together, watched from a thread."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType

MB = 1024 * 1024
EVERY_S = 0.5


class Peak:
    """owns: the watching thread. megabytes: the greatest sum of proportional set sizes seen: what is shared between
    processes counts once. Zero where the system has no /proc."""

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak", daemon=True)
        self.megabytes = 0

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.megabytes = max(self.megabytes, sum(map(_size, family(self._pid))) // MB)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name stands in brackets and may hold anything; the parent is the second word after it.
            children[int(entry.read_text().rpartition(")")[2].split()[1])].append(int(entry.parent.name))
        except (OSError, ValueError, IndexError):
            continue
    found = [pid]
    for one in found:
        found += children[one]
    return found


def _size(pid: int) -> int:
    """Proportional set size in bytes; 0 for a process that has gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0
