"""Where each followed file stands, on disk: one JSON file, written whole, flushed before it takes the old one's place.

It holds names, numbers and digests, nobody's words. One process owns it: a lock beside it says so.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import BadFile, FailedPrecondition, Unavailable

_VERSION = 1


@dataclass
class Stream:
    """One content of one file, from its first byte to its last. serial: its number, never used again. device, inode:
    where it lies; path: its name when it was last seen. head: digest of its first head_bytes, by which another content
    in the same place is told from it; tail: of what stands right before offset. offset: everything before it is in the
    log. passed: it was there before the first look, and is not read."""

    serial: int
    source: str
    path: str
    device: int
    inode: int
    head_bytes: int = 0
    head: str = ""
    offset: int = 0
    tail: str = ""
    passed: bool = False


class Positions:
    """owns: the lock, and the file that it writes. Raises FailedPrecondition where another process has it, BadFile for
    a file that is none of ours."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "positions.json"
        self._lock = _locked(folder / "lock")
        try:
            self.next_serial, self.streams, self.begun = _read(self._path)
        except BaseException:
            self._lock.close()
            raise

    def write(self, next_serial: int, streams: Iterable[Stream], begun: Iterable[str]) -> None:
        """begun: patterns that were looked for before. Raises Unavailable where the disk does not take it: it is tried
        again with the next commit."""
        said = {
            "version": _VERSION,
            "next_serial": next_serial,
            "begun": sorted(begun),
            "streams": [asdict(stream) for stream in streams],
        }
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("w") as file:
                json.dump(said, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise Unavailable("the positions of followed files cannot be written", cause=error.strerror) from None

    def close(self) -> None:
        self._lock.close()


def _read(path: Path) -> tuple[int, list[Stream], set[str]]:
    if not path.exists():
        return 0, [], set()
    try:
        said = json.loads(path.read_text("utf-8"))
        if said["version"] != _VERSION:
            raise ValueError
        return int(said["next_serial"]), [Stream(**one) for one in said["streams"]], set(said["begun"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadFile(
            f"{path} is not a file of positions; without it everything is read again, and counts once", file=path.name
        ) from None


def _locked(path: Path) -> TextIO:
    lock = open(path, "a+")  # noqa: SIM115 - held open on purpose: closing it gives the lock back
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise FailedPrecondition("another observer follows files with this folder", folder=path.parent) from None
    return lock
