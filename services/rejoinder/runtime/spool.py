"""A replica's bounded local store of interactions: what a caller has seen completed is on disk before it sees the end.

Records are appended to a segment file and fsynced in groups; a shipper sends them to the log and deletes a segment once
every record of it was acknowledged. A segment is owned by a file lock: when its process dies, the next one adopts it.
Sending twice is harmless (event ids); losing is not. What the promise covers is tabled in the contracts: a killed
process loses nothing that a caller saw completed; a full spool drops, counts, and says so through `full`.
"""

from __future__ import annotations

import fcntl
import os
import queue
import struct
import threading
import uuid
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from rejoinder.core import codec
from rejoinder.core.disk import sync_folder
from rejoinder.core.errors import RejoinderError
from rejoinder.core.types import Interaction

_HEADER = struct.Struct("<II")  # length, crc32
_STOP = object()

#: A spool that had no room is full until this share of it is free again, so that `full` does not flicker.
_FREE_AGAIN = 0.1


@dataclass(frozen=True)
class SpoolSettings:
    """max_bytes: of all segments here, at most half of the volume's limit. segment_bytes: when a new one begins.

    retry_s: pause after the log refused. batch: records per send.
    """

    max_bytes: int = 256 * 1024 * 1024
    segment_bytes: int = 4 * 1024 * 1024
    retry_s: float = 0.5
    batch: int = 200


class Spool:
    """owns: its segment files, the writer thread and the shipper thread.

    send: sends interactions to the log and returns when it has them; whatever it raises, they are sent again.
    on_dropped: told how many were dropped, for `interactions_dropped_total`.
    """

    def __init__(
        self,
        folder: Path,
        settings: SpoolSettings,
        send: Callable[[Sequence[Interaction]], None],
        on_dropped: Callable[[int], None],
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._send = send
        self._on_dropped = on_dropped
        self._pending: queue.Queue[object] = queue.Queue()
        self._bytes = 0
        self._unwritten = 0
        self._refused = False
        self._guard = threading.Condition()
        self._finished: list[_Segment] = []
        self._stopping = False
        folder.mkdir(parents=True, exist_ok=True)
        self._finished.extend(self._adopt())
        self._current: _Segment | None = None
        self._writer = threading.Thread(target=self._write, name="spool-writer", daemon=True)
        self._shipper = threading.Thread(target=self._ship, name="spool-shipper", daemon=True)
        self._writer.start()
        self._shipper.start()

    @property
    def full(self) -> bool:
        """True while nothing more fits: the canary's share must be 0 then, for its evidence would be lost."""
        return self._refused or self._bytes >= self._settings.max_bytes

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def put(self, interaction: Interaction) -> Future[bool]:
        """Resolves True when the record is on disk, False when it was dropped (full spool or disk, counted).

        A caller that stops waiting stops nothing: the future cannot be cancelled.
        """
        done: Future[bool] = Future()
        done.set_running_or_notify_cancel()
        data = codec.encode(interaction)
        with self._guard:
            self._unwritten += 1
        self._pending.put((data, done))
        return done

    def drain(self, timeout_s: float) -> bool:
        """Waits until everything put so far was shipped; False when the time passed first."""
        with self._guard:
            return self._guard.wait_for(lambda: self._bytes == 0 and self._unwritten == 0, timeout_s)

    def close(self) -> None:
        """Stops both threads; what was not shipped stays on disk for the next process."""
        with self._guard:
            if self._stopping:
                return
            self._stopping = True
            self._guard.notify_all()
        self._pending.put(_STOP)
        self._writer.join()
        self._shipper.join()
        for segment in (*self._finished, *([self._current] if self._current else [])):
            segment.close()

    def _adopt(self) -> list[_Segment]:
        """Segments whose process is gone, oldest first."""
        found = []
        for path in sorted(self._folder.glob("*.spool"), key=_age):
            segment = _Segment.adopt(path)
            if segment is not None:
                self._bytes += segment.size
                found.append(segment)
        return found

    def _write(self) -> None:
        stop = False
        while not stop:
            group = [self._pending.get()]
            while not self._pending.empty():
                group.append(self._pending.get_nowait())
            stop = _STOP in group
            self._write_group([item for item in group if item is not _STOP])  # type: ignore[misc]

    def _write_group(self, group: list[tuple[bytes, Future[bool]]]) -> None:
        if not group:
            return
        kept: list[Future[bool]] = []
        refused = False
        segment: _Segment | None = None
        before = 0
        try:
            segment = self._open_segment()
            before = segment.size
            for data, done in group:
                if self._bytes + segment.size - before + len(data) + _HEADER.size > self._settings.max_bytes:
                    refused = True
                    continue
                segment.append(data)
                kept.append(done)
            segment.sync()
        except OSError:
            # A full or failing disk: the answers go on, these records are counted as dropped.
            kept, refused = [], True
            if segment is not None:
                segment.cut(before)
        with self._guard:
            if segment is not None:
                self._bytes += segment.size - before
                segment.busy = False
            self._refused = self._refused or refused
            self._unwritten -= len(group)
            self._guard.notify_all()
        if len(kept) < len(group):
            self._on_dropped(len(group) - len(kept))
        written = set(map(id, kept))
        for _, done in group:
            done.set_result(id(done) in written)

    def _open_segment(self) -> _Segment:
        """The segment to write to, marked busy: the shipper leaves a busy one on disk whatever it has shipped of it."""
        with self._guard:
            if self._current is not None and self._current.size >= self._settings.segment_bytes:
                self._finished.append(self._current)
                self._current = None
            if self._current is None:
                self._current = _Segment.create(self._folder)
            self._current.busy = True
            return self._current

    def _ship(self) -> None:
        while True:
            with self._guard:
                self._guard.wait_for(lambda: self._stopping or self._bytes > 0)
                if self._stopping:
                    return
                segment = self._finished[0] if self._finished else self._current
            if segment is None or not self._ship_from(segment):
                with self._guard:
                    self._guard.wait_for(lambda: self._stopping, self._settings.retry_s)

    def _ship_from(self, segment: _Segment) -> bool:
        """Sends a batch; False when there was nothing to send or the log refused."""
        batch, after = segment.read(self._settings.batch)
        if batch:
            readable = _readable(batch)
            try:
                if readable:
                    self._send(readable)
            except Exception:
                # Whatever it was (the log is away, a token file is being replaced): the records are kept and tried
                # again; a shipper that ended would fill the disk in silence.
                return False
            segment.shipped = after
            if len(readable) < len(batch):
                self._on_dropped(len(batch) - len(readable))
        with self._guard:
            whole = not segment.busy and segment.shipped >= segment.synced
            if whole and segment in self._finished:
                self._finished.remove(segment)
                self._bytes -= segment.size
                self._refused = self._refused and self._bytes > self._settings.max_bytes * (1 - _FREE_AGAIN)
                segment.delete()
            elif whole and segment is self._current:
                # Everything on disk was acknowledged: the file can go, the next record opens another.
                self._current = None
                self._finished.insert(0, segment)
            self._guard.notify_all()
        return bool(batch) or whole


class Covers(Protocol):
    """Whether a record of this tenant and user, made at this time (seconds), must go."""

    def __call__(self, tenant: str, user_id: str, accepted_at: float, events: Sequence[str] = ()) -> bool: ...


class Spools:
    """Every spool below a folder, as a store that erasure reaches. owns: nothing; the files are the state.

    A segment whose process lives is left to it: what it ships late is dropped by the ledger. One that nobody ships any
    more (a replica that is gone for good) is written anew without the covered records.
    """

    name = "spools"

    def __init__(self, root: Path) -> None:
        self._root = root

    def erase(self, covers: Covers) -> int:
        removed = 0
        for path in self._covered(covers):
            # Locked for no longer than it takes: a process that starts meanwhile would not adopt it.
            segment = _Segment.adopt(path)
            if segment is None:
                continue
            records, _ = segment.read(segment.size)
            kept = [data for data in records if not _goes(data, covers)]
            if kept:
                left = _Segment.create(path.parent)
                for data in kept:
                    left.append(data)
                left.sync()
                left.close()
            segment.delete()
            removed += len(records) - len(kept)
        return removed

    def holds(self, covers: Covers) -> int:
        """Covered records, those of living processes among them."""
        return sum(self._covered(covers).values())

    def _covered(self, covers: Covers) -> dict[Path, int]:
        """Segments with covered records, and how many. Read without their locks."""
        found = {}
        for path in sorted(self._root.rglob("*.spool")):
            with suppress(FileNotFoundError):
                if count := sum(_goes(data, covers) for data in _records(path.read_bytes())):
                    found[path] = count
        return found


def _goes(data: bytes, covers: Covers) -> bool:
    return any(covers(event.tenant, event.user_id, event.occurred_at or 0.0) for event in _readable([data]))


class _Segment:
    """One file. owns: its lock. synced and shipped are byte positions; busy: the writer is at it."""

    def __init__(self, path: Path, file: BinaryIO, size: int) -> None:
        self.path = path
        self.size = size
        self.synced = size
        self.shipped = 0
        self.busy = False
        self._file = file

    @classmethod
    def create(cls, folder: Path) -> _Segment:
        path = folder / f"{uuid.uuid4().hex}.spool"
        # Users' words: for this process's user alone.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The name too must outlive a power cut.
        sync_folder(folder)
        return cls(path, file, 0)

    @classmethod
    def adopt(cls, path: Path) -> _Segment | None:
        """A dead process's segment cut to its last whole record; None while its owner lives, or when it is gone."""
        try:
            file = path.open("r+b", buffering=0)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if not os.fstat(file.fileno()).st_nlink:
            # Whoever had it was done with it before it let it go: shipped, or written anew.
            file.close()
            return None
        whole = sum(_HEADER.size + len(data) for data in _records(file.read()))
        file.truncate(whole)
        return cls(path, file, whole)

    def append(self, data: bytes) -> int:
        """Bytes taken. A write that fails half-way is cut off again."""
        framed = _HEADER.pack(len(data), zlib.crc32(data)) + data
        self._file.seek(self.size)
        try:
            written = self._file.write(framed)
            if written != len(framed):
                raise OSError("short write")
        except OSError:
            self._file.truncate(self.size)
            raise
        self.size += len(framed)
        return len(framed)

    def cut(self, size: int) -> None:
        """Takes back what was appended behind `size`."""
        with suppress(OSError):
            self._file.truncate(size)
        self.size = size

    def sync(self) -> None:
        os.fsync(self._file.fileno())
        self.synced = self.size

    def read(self, limit: int) -> tuple[list[bytes], int]:
        """Records from `shipped` on, at most `limit`, and the position after them."""
        data = os.pread(self._file.fileno(), self.synced - self.shipped, self.shipped)
        batch = _records(data)[:limit]
        return batch, self.shipped + sum(_HEADER.size + len(item) for item in batch)

    def delete(self) -> None:
        self.path.unlink()
        self._file.close()

    def close(self) -> None:
        self._file.close()


def _readable(batch: Sequence[bytes]) -> list[Interaction]:
    """The interactions of whole records; one that another release wrote may not be readable."""
    found = []
    for data in batch:
        with suppress(RejoinderError, ValueError):
            found.append(codec.decode(data, Interaction))
    return found


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except FileNotFoundError:
        return 0, path.name


def _records(data: bytes) -> list[bytes]:
    """The whole records at the head of the bytes; a torn or damaged one ends them."""
    found, position = [], 0
    while position + _HEADER.size <= len(data):
        length, checksum = _HEADER.unpack_from(data, position)
        body = data[position + _HEADER.size : position + _HEADER.size + length]
        if len(body) != length or zlib.crc32(body) != checksum:
            break
        found.append(body)
        position += _HEADER.size + length
    return found
