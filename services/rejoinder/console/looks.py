"""The record of looks at users' words: who, when, at what. The words themselves stand in no line of it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Unavailable
from rejoinder.runtime.logging import EventLog


@dataclass(frozen=True)
class Look:
    """at: seconds since the epoch. what: answers | answer | pairs | trace. ids: of what was shown."""

    at: float
    principal: str
    tenant: str
    what: str
    ids: tuple[str, ...]


class Looks:
    """owns: nothing; the file is opened for each line, so that it may be rotated."""

    def __init__(self, file: Path, clock: Clock, log: EventLog) -> None:
        self._file = file
        self._clock = clock
        self._log = log

    async def record(self, principal: str, tenant: str, what: str, ids: Sequence[str]) -> None:
        """On disk on return. Raises Unavailable, and then nothing is shown."""
        look = Look(self._clock.now(), principal, tenant, what, tuple(ids))
        try:
            await asyncio.to_thread(self._write, look)
        except OSError as error:
            self._log.error("look_not_recorded", error, what=what)
            raise Unavailable("who looks at users' words is recorded first, and the record cannot be written") from None
        self._log.info("words_shown", principal=principal, what=what, count=len(ids))

    async def last(self, most: int, tenants: frozenset[str] | None) -> list[Look]:
        """The newest first, of these tenants (None: of all)."""
        return await asyncio.to_thread(self._read, most, tenants)

    def _write(self, look: Look) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(look), ensure_ascii=True, separators=(",", ":")) + "\n"
        # One write of one line, appended: two consoles may share a file.
        opened = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(opened).st_size
            # A full disk left half a line, which must not take this one with it.
            whole = line.encode() if not size or os.pread(opened, 1, size - 1) == b"\n" else b"\n" + line.encode()
            if os.write(opened, whole) < len(whole):
                raise OSError(errno.ENOSPC, "the record of looks took half a line")
            os.fsync(opened)
        finally:
            os.close(opened)

    def _read(self, most: int, tenants: frozenset[str] | None) -> list[Look]:
        kept: deque[Look] = deque(maxlen=most)
        try:
            with self._file.open(encoding="ascii", errors="replace") as lines:
                for line in lines:
                    look = _look(line)
                    if look is not None and (tenants is None or look.tenant in tenants):
                        kept.append(look)
        except FileNotFoundError:
            return []
        return list(reversed(kept))


def _look(line: str) -> Look | None:
    """None for half a line, which a full disk leaves."""
    try:
        value: dict[str, Any] = json.loads(line)
        return Look(**{**value, "ids": tuple(value["ids"])})
    except (ValueError, TypeError, KeyError):
        return None
