"""The record of looks at users' words: who, when, at how much of what. The words themselves stand in no line of it.

A JSON line each, on disk before anything is shown; console, ledger and command line write the same lines, and may share
a file. What was shown and whose it was is named by keyed digests, users by those of erasures: an erased user's name
stands nowhere, and whoever holds the key can still ask who was shown an answer, or somebody's words.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import json
import os
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rejoinder.core.clock import Clock
from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import Unavailable
from rejoinder.core.ids import subject_of
from rejoinder.runtime.logging import EventLog

#: The tenant of a look at everybody's: it is told to each of them.
ALL = "*"
#: Of a look at whomever there is: anybody may be among them.
ANYBODY = (ALL,)
#: Users that a line names; of more it says that anybody may be among them. Of what was shown it names as many.
MOST_NAMED = 10_000
#: Hexadecimal digits of what names a thing that was shown.
_DIGITS = 32
#: Looks that may come again unrecorded, remembered at once.
_MOST_KNOWN = 10_000


@dataclass(frozen=True)
class Seen:
    """What is about to be shown. tenant: ALL for everybody's. what: answers | answer | pairs | trace | export | sheet |
    window | evidence. ids: of the things. users: tenant and user id of whose words they hold, None where that is not
    known. count: of the things, by default as many as there are ids; None for a reader that goes on as long as it runs.
    """

    what: str
    tenant: str
    ids: Sequence[str] = ()
    users: Iterable[tuple[str, str]] | None = ()
    count: int | None = -1


@dataclass(frozen=True)
class Look:
    """One line. at: seconds since the epoch. by: the program that wrote it, console | ledger | cli. ids, users: keyed
    digests; users ANYBODY where no list would hold them."""

    at: float
    principal: str
    tenant: str
    what: str
    ids: tuple[str, ...]
    count: int | None = None
    users: tuple[str, ...] = ()
    by: str = "console"

    def brief(self, most: int) -> Look:
        """With so many of its names."""
        return Look(
            self.at, self.principal, self.tenant, self.what, self.ids[:most], self.count, self.users[:most], self.by
        )


class Looks:
    """owns: which looks of this process may come again unrecorded; the file is opened for each line, so that it may be
    rotated. key: the deployment's, or whoever's names are to be found again. by: this program."""

    def __init__(self, file: Path, key: bytes, by: str, clock: Clock, log: EventLog | None = None) -> None:
        self._file = file
        self._key = key
        self._by = by
        self._clock = clock
        self._log = log
        self._known: OrderedDict[bytes, float] = OrderedDict()

    async def record(self, principal: str, seen: Seen, once_in_s: float = 0.0) -> None:
        """As `write`, beside the event loop. once_in_s: seconds for which the same principal's look at the same things
        is covered by this line: a page that asks again and again, a worker that reads on."""
        if not once_in_s:
            await asyncio.to_thread(self.write, principal, seen)
            return
        if seen.users is not None:
            seen = replace(seen, users=sorted(set(seen.users)))
        # Whose words they hold is part of it: an answer that was shown may have another's words under it by now.
        said = repr((principal, seen.tenant, seen.what, tuple(seen.ids), seen.users))
        name = hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()
        if self._clock.monotonic() < self._known.get(name, 0.0):
            return
        await asyncio.to_thread(self.write, principal, seen)
        self._known[name] = self._clock.monotonic() + once_in_s
        self._known.move_to_end(name)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    def write(self, principal: str, seen: Seen) -> None:
        """On disk on return. Raises Unavailable, and then nothing is shown."""
        look = self._look(principal, seen)
        try:
            self._append(look)
        except OSError as error:
            if self._log is not None:
                self._log.error("look_not_recorded", error, what=seen.what)
            raise Unavailable("who looks at users' words is recorded first, and the record cannot be written") from None
        if self._log is not None:
            self._log.info("words_shown", principal=principal, what=seen.what, count=look.count)

    async def last(
        self, most: int, tenant: str | None = None, id: str = "", user: str = "", names: int = MOST_NAMED
    ) -> list[Look]:
        """As `read`, beside the event loop."""
        return await asyncio.to_thread(self.read, most, tenant, id, user, names)

    def read(
        self, most: int, tenant: str | None = None, id: str = "", user: str = "", names: int = MOST_NAMED
    ) -> list[Look]:
        """The newest first: of a tenant (None: of all), about a thing that was shown, about a user's words. names: how
        many of the names of each."""
        asked = self._named(tenant or "", id) if id else ""
        subject = subject_of(self._key, tenant or "", user) if user else ""
        kept: deque[Look] = deque(maxlen=most)
        try:
            with self._file.open(encoding="ascii", errors="replace") as lines:
                for line in lines:
                    look = _look(line)
                    if look is None or (tenant is not None and look.tenant not in (tenant, ALL)):
                        continue
                    if (not asked or asked in look.ids) and (not subject or subject in look.users or _all(look.users)):
                        kept.append(look.brief(names))
        except FileNotFoundError:
            return []
        return list(reversed(kept))

    def _look(self, principal: str, seen: Seen) -> Look:
        users: tuple[str, ...] = ANYBODY
        if seen.users is not None:
            named = sorted({subject_of(self._key, tenant, user) for tenant, user in seen.users if user})
            users = tuple(named) if len(named) <= MOST_NAMED else ANYBODY
        ids = tuple(self._named(seen.tenant, each) for each in seen.ids[:MOST_NAMED])
        count = len(seen.ids) if seen.count == -1 else seen.count
        return Look(round(self._clock.now(), 6), principal, seen.tenant, seen.what, ids, count, users, self._by)

    def _named(self, tenant: str, id: str) -> str:
        named = f"look\x00{tenant}\x00{id}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, named, hashlib.sha256).hexdigest()[:_DIGITS]

    def _append(self, look: Look) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(look), ensure_ascii=True, separators=(",", ":")) + "\n"
        # One write of one line, appended: several processes may share a file.
        opened = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(opened).st_size
            # A full disk left half a line, which must not take this one with it.
            whole = line.encode() if not size or os.pread(opened, 1, size - 1) == b"\n" else b"\n" + line.encode()
            if os.write(opened, whole) < len(whole):
                raise OSError(errno.ENOSPC, "the record of looks took half a line")
            os.fsync(opened)
            if not size:
                # The file's name too must be there after a power cut.
                sync_folder(self._file.parent)
        finally:
            os.close(opened)


def _all(users: Sequence[str]) -> bool:
    return tuple(users) == ANYBODY


def _look(line: str) -> Look | None:
    """None for half a line, which a full disk leaves."""
    try:
        value: dict[str, Any] = json.loads(line)
        return Look(**{**value, "ids": tuple(value["ids"]), "users": tuple(value.get("users", ()))})
    except (ValueError, TypeError, KeyError):
        return None
