"""What the product has acknowledged, written down by the people: the other side of every claim of no loss."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType


class Recorder:
    """Ids that were acknowledged, and ids that were sent and are in doubt; on disk before the next thing happens.

    owns: the file. One line an id: `+ id` acknowledged, `? id` sent. Group commit: callers that come while a sync runs
    share the next one.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii")
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._written = self._synced = 0

    def sent(self, ids: list[str]) -> None:
        """About to be sent: an id that is stored though nobody acknowledged it must be one of these."""
        self._write("?", ids)

    def acknowledged(self, ids: list[str]) -> None:
        """On disk when this returns."""
        mine = self._write("+", ids)
        with self._syncing:
            if self._synced >= mine:
                return
            with self._writing:
                self._file.flush()
                reached = self._written
            os.fsync(self._file.fileno())
            self._synced = reached

    def _write(self, mark: str, ids: list[str]) -> int:
        with self._writing:
            self._file.write("".join(f"{mark} {id}\n" for id in ids))
            self._written += 1
            return self._written

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def read(path: Path) -> tuple[set[str], set[str]]:
    """(acknowledged, sent); a last line cut short by a kill is no id."""
    marks: dict[str, set[str]] = {"+": set(), "?": set()}
    text = path.read_text(encoding="ascii")
    for line in text[: text.rfind("\n") + 1].splitlines():
        mark, _, id = line.partition(" ")
        marks[mark].add(id)
    return marks["+"], marks["?"] | marks["+"]
