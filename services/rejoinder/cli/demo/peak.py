"""How much memory a process and everything it has started use together, watched from a thread."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType

MB = 1024 * 1024
EVERY_S = 0.5
#: Of so many looks one reads every process.
WHOLE_EVERY = 20
PROC = "/proc"
#: What changes when a process gains or gives back memory: faults without and with a read from disk, resident pages.
Mark = tuple[int, int, int]


class Peak:
    """owns: the watching thread. megabytes: the greatest sum of proportional set sizes seen: what is shared between
    processes counts once. Zero where the system has no /proc.

    A proportional size costs the system a walk over all pages of the process (5 ms for 300 MB), so it is read anew only
    of a process that had a page fault or has another number of pages since: no page comes without one of the two, a
    copied one neither. Shares of common pages change without: all are read where a process came or went, before a sum
    counts as the greatest, and now and then.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._pid = os.getpid() if pid is None else pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peak", daemon=True)
        self._marks: dict[int, Mark] = {}
        self._sizes: dict[int, int] = {}
        self._looks = 0
        self.megabytes = 0

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.look()

    def look(self) -> None:
        """Takes the sum as it is now; the thread's work, or a caller's without it."""
        marks = family_marks(self._pid)
        whole = self._looks % WHOLE_EVERY == 0 or marks.keys() != self._marks.keys()
        self._looks += 1
        known = {} if whole else self._marks
        self._sizes = {pid: self._sizes[pid] if known.get(pid) == mark else _size(pid) for pid, mark in marks.items()}
        if not whole and sum(self._sizes.values()) // MB > self.megabytes:
            # What two processes have come to share would count twice in a peak.
            self._sizes = {pid: _size(pid) for pid in marks}
        self._marks = marks
        self.megabytes = max(self.megabytes, sum(self._sizes.values()) // MB)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()


def family(pid: int) -> list[int]:
    """The process and its descendants."""
    return list(family_marks(pid))


def family_marks(pid: int) -> dict[int, Mark]:
    """The process and its descendants, each with its mark; zeros where the process itself has gone."""
    children: dict[int, list[int]] = defaultdict(list)
    marks: dict[int, Mark] = {}
    for entry in filter(str.isdigit, os.listdir(PROC) if os.path.isdir(PROC) else ()):
        try:
            with open(f"{PROC}/{entry}/stat", "rb") as file:
                # The name stands in brackets and may hold anything; the state follows it, then the parent.
                words = file.read().rpartition(b")")[2].split()
            children[int(words[1])].append(int(entry))
            marks[int(entry)] = (int(words[7]), int(words[9]), int(words[21]))
        except (OSError, ValueError, IndexError):
            continue
    found = [pid]
    for one in found:
        found += children[one]
    return {one: marks.get(one, (0, 0, 0)) for one in found}


def _size(pid: int) -> int:
    """Proportional set size in bytes; 0 for a process that has gone."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0
