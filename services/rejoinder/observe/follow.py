"""Files that an application writes, a line at a time, as the observer reads topics: an `observer.Member`.

A partition is one content of one file: renamed, it is the same; truncated, or with another content in its place, it is
over and the next begins. What a rotation put beside a followed file (`app.jsonl.1`) is followed too, and a copy goes on
where its original stood. That saves work, no more: what a line is called follows from the line (`placed`), so whatever
is read twice counts once. A last line without its end waits until it has one, or is a whole object and grows no more.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rejoinder.core.clock import Clock
from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.ids import derived_id
from rejoinder.observe.mapped import Place
from rejoinder.observe.positions import Positions, Stream
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.port import Partition, Position, Record

#: What stands for a line above the limit: no object, so it is put aside as one that cannot be read.
TOO_LONG = b"a line above the limit"
#: Bytes by which one content is told from another, at its beginning and right before a position.
_HEAD_BYTES, _TAIL_BYTES = 1024, 256
#: Bytes of one look into a file.
_CHUNK_BYTES = 256 * 1024
#: Bytes of the lines of one poll, at most one line more.
_BATCH_BYTES = 32 << 20
#: Rotated away and packed: an import reads them.
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
#: What stands between a file's name and what a rotation adds to it.
_ADDED = (".", "-", "_")
#: Seconds that a file is kept open after it lost its last name: its writer may not be done.
_GONE_S = 10.0
#: Contents that are over and still known, so that a copy of one goes on where it stood.
_REMEMBERED = 200


@dataclass
class _Open:
    """A stream that is read. at: up to where; tail: of what stood right before it when it was read; scanned: up to
    where no line's end was found behind it; tried: at which size what stands there was looked at as an object without
    its line's end."""

    stream: Stream
    fd: int
    at: int
    tail: str
    scanned: int = 0
    tried: int = 0
    gone_at: float | None = None

    @property
    def size(self) -> int:
        return os.fstat(self.fd).st_size

    def move(self, at: int, tail: str) -> None:
        self.at, self.tail, self.scanned, self.tried = at, tail, 0, 0


class FileMember:
    """owns: the open files, and their positions through `positions`. One thread's.

    sources: name → paths and patterns. most: files at once. wait: sleeps so many seconds, or less when asked to stop.
    """

    def __init__(
        self,
        sources: Mapping[str, Sequence[str]],
        positions: Positions,
        max_line_bytes: int,
        look_s: float,
        most: int,
        clock: Clock,
        log: EventLog,
        wait: Callable[[float], object],
    ) -> None:
        self._sources = sources
        self._positions = positions
        self._max_line_bytes = max_line_bytes
        self._look_s = look_s
        self._most = most
        self._clock = clock
        self._log = log
        self._wait = wait
        self._serial = positions.next_serial
        #: Contents that are known and not open: over, not met again yet, or passed.
        self._known = list(positions.streams)
        self._begun = set(positions.begun)
        self._open: dict[Partition, _Open] = {}
        self._looked_at: float | None = None
        self._unread: set[str] = set()
        self._turn = 0

    # -- As the observer asks.

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        if max_records <= 0:
            return []
        before = self.assignment()
        self._look()
        if self.assignment() != before:
            # Whoever reads begins again with what there is now.
            return []
        records: list[Record] = []
        opened = list(self._open.values())
        left = _BATCH_BYTES
        self._turn += 1
        for n in range(len(opened)):
            # Another first each time: a file that is written fast must not keep the others waiting.
            some = self._read(opened[(n + self._turn) % len(opened)], max_records - len(records), left)
            left -= sum(len(record.value) for record in some)
            records += some
        if not records:
            self._wait(timeout_s)
        return records

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._open)

    def positions(self) -> Mapping[Partition, int]:
        return {partition: one.at for partition, one in self._open.items()}

    def committed(self) -> Mapping[Partition, Position]:
        return {partition: Position(one.stream.offset) for partition, one in self._open.items()}

    def commit_at(self, positions: Mapping[Partition, Position]) -> None:
        for partition, at in positions.items():
            one = self._open[partition]
            # As it was read: by now another content may stand there.
            one.stream.tail = one.tail if at.offset == one.at else _tail(one.fd, at.offset)
            one.stream.offset = at.offset
        self._write()

    def ends(self) -> Mapping[Partition, int]:
        return {partition: one.size for partition, one in self._open.items()}

    def offsets_at(self, moments: Mapping[Partition, float]) -> Mapping[Partition, int]:
        return {}

    def seek(self, partition: Partition, offset: int) -> None:
        one = self._open[partition]
        tail = _tail(one.fd, offset)
        if _is_same(one):
            one.move(offset, tail)

    def rewind(self) -> None:
        for one in self._open.values():
            one.move(one.stream.offset, one.stream.tail)

    def close(self) -> None:
        for one in self._open.values():
            os.close(one.fd)
        self._open = {}
        self._positions.close()

    # -- Which files there are.

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < self._look_s:
            return
        self._looked_at = now
        before, state = self.assignment(), (self._serial, len(self._begun))
        self._end_replaced()
        found: set[tuple[str, int, int]] = set()
        for source, patterns in self._sources.items():
            for pattern in patterns:
                named, beside = _files(pattern)
                for path in named:
                    self._meet(source, path, found)
                # What was rotated away before the first look is not asked for; all that is later is.
                passed = f"{source} {pattern}" not in self._begun
                self._begun.add(f"{source} {pattern}")
                for path in beside:
                    self._meet(source, path, found, passed)
        self._let_go(found, now)
        if self.assignment() != before or state != (self._serial, len(self._begun)):
            self._write()

    def _meet(self, source: str, path: str, found: set[tuple[str, int, int]], passed: bool = False) -> None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if path not in self._unread and not isinstance(error, FileNotFoundError):
                self._unread.add(path)
                self._log.warning("file_not_opened", source=source, cause=error.strerror)
            return
        kept = False
        try:
            there = os.fstat(fd)
            where = (source, there.st_dev, there.st_ino)
            if not stat.S_ISREG(there.st_mode) or where in found:
                return
            found.add(where)
            one = next((one for one in self._open.values() if _where(one.stream) == where), None)
            if one is not None:
                one.stream.path = path
                return
            stream = next((s for s in self._known if _where(s) == where and _fits(fd, s)), None)
            if stream is None:
                stream = self._begin(where, path, fd, passed)
            if not stream.passed:
                kept = True
                self._take_up(stream, fd, path)
        finally:
            if not kept:
                os.close(fd)

    def _begin(self, where: tuple[str, int, int], path: str, fd: int, passed: bool) -> Stream:
        source, device, inode = where
        stream = Stream(self._serial, source, path, device, inode, passed=passed)
        self._serial += 1
        _extend_head(fd, stream)
        copies = [] if passed else [one for one in self._all() if one.source == source and _fits(fd, one)]
        stood = ((one.offset, one.tail) for one in copies if one.head_bytes)
        stream.offset, stream.tail = max(stood, default=(0, ""))
        self._known.append(stream)
        return stream

    def _take_up(self, stream: Stream, fd: int, path: str) -> None:
        if len(self._open) >= self._most:
            raise FailedPrecondition("there are more files than files.most allows", source=stream.source)
        self._known.remove(stream)
        stream.path = path
        self._open[stream.source, stream.serial] = _Open(stream, fd, stream.offset, stream.tail)
        self._log.info("file_taken_up", source=stream.source, serial=stream.serial, offset=stream.offset)

    def _end_replaced(self) -> None:
        """Ends what was truncated or written anew in its place: its file is met again, as another one."""
        for one in list(self._open.values()):
            if not _is_same(one):
                self._let_end(one, "file_replaced")
            else:
                _extend_head(one.fd, one.stream)

    def _let_go(self, found: set[tuple[str, int, int]], now: float) -> None:
        """Ends what has no name any more and grows no more."""
        for one in list(self._open.values()):
            if _where(one.stream) in found:
                one.gone_at = None
            elif one.gone_at is None or (one.stream.offset < one.size and one.tried != one.size):
                one.gone_at = now
            elif now - one.gone_at > _GONE_S:
                self._let_end(one, "file_gone")
        over = [stream for stream in self._known if not stream.passed]
        forgotten = {stream.serial for stream in over[:-_REMEMBERED]}
        self._known = [stream for stream in self._known if stream.serial not in forgotten]

    def _let_end(self, one: _Open, event: str) -> None:
        self._log.info(event, source=one.stream.source, serial=one.stream.serial, offset=one.stream.offset)
        os.close(one.fd)
        del self._open[one.stream.source, one.stream.serial]
        self._known.append(one.stream)

    def _all(self) -> Iterator[Stream]:
        yield from self._known
        for one in self._open.values():
            yield one.stream

    def _write(self) -> None:
        self._positions.write(self._serial, self._all(), self._begun)

    # -- What they say.

    def _read(self, one: _Open, most: int, most_bytes: int) -> list[Record]:
        """most_bytes: at most one line more."""
        if most <= 0 or most_bytes <= 0 or one.size == one.at:
            return []
        out: list[Record] = []
        same = _is_same(one)
        while same and len(out) < most and most_bytes > 0 and (lines := self._lines(one)):
            key = _first_line(one.fd)
            at, last, some = one.at, (one.at, b""), list[Record]()
            for size, line in lines:
                if len(out) + len(some) >= most or most_bytes <= 0:
                    break
                last = at, line
                if line:
                    some.append(Record(one.stream.source, one.stream.serial, at, key, line, (), 0.0))
                at, most_bytes = at + size, most_bytes - len(line)
            tail = _tail(one.fd, at)
            # Replaced meanwhile, nobody knows which content these lines are of; a copy has what is missed.
            same = _is_same(one) and _is_line(one.fd, at, *last)
            if same:
                one.move(at, tail)
                out += some
        if not same:
            # The next look ends it.
            self._looked_at = None
        return out

    def _lines(self, one: _Open) -> list[tuple[int, bytes]]:
        """What stands from `at` on, as far as one look goes: bytes of each line with its end, and what it says."""
        size = one.size
        if size <= one.at:
            return []
        if size == one.scanned:
            return self._unended(one, size)
        data = os.pread(one.fd, _CHUNK_BYTES, one.at)
        end = data.rfind(b"\n") + 1
        if end:
            limit = self._max_line_bytes
            whole = data[: end - 1].split(b"\n")
            return [(len(line) + 1, line.strip() if len(line) < limit else TOO_LONG) for line in whole]
        end = _line_end(one.fd, max(one.scanned, one.at + len(data)), size)
        if not end:
            one.scanned = size
            return []
        if end - one.at > self._max_line_bytes:
            return [(end - one.at, TOO_LONG)]
        return [(end - one.at, _bytes(one.fd, one.at, end - one.at).strip())]

    def _unended(self, one: _Open, size: int) -> list[tuple[int, bytes]]:
        """A last line that did not grow since the look before. Half an object is never one."""
        if one.tried == size:
            return []
        one.tried = size
        if size - one.at > self._max_line_bytes:
            return []
        line = _bytes(one.fd, one.at, size - one.at)
        return [(len(line), line.strip())] if _is_object(line) else []


def placed(record: Record, now: float) -> Place:
    """What a line without an id of its own is called by: the file's first line, itself, and where it stands. So it is
    called the same in a copy, and in a file that is read again. It has no time of its own."""
    origin = derived_id("line", record.key.hex(), hashlib.sha256(record.value).hexdigest())
    return Place(record.topic, origin, 0, record.offset)


def _files(pattern: str) -> tuple[list[str], list[str]]:
    """The files that a pattern names, and what a rotation put beside them."""
    named = [path for path in sorted(glob.glob(pattern)) if not path.endswith(_PACKED)]
    beside: dict[str, None] = {}
    folders: dict[str, list[str]] = {}
    # A file that is named without a pattern may be away just now, renamed and not yet written anew.
    for path in named if glob.has_magic(pattern) else [pattern]:
        folder, name = os.path.dirname(path) or ".", os.path.basename(path)
        if folder not in folders:
            folders[folder] = _names(folder)
        rotated = (os.path.join(folder, other) for other in folders[folder] if _is_beside(other, name))
        beside.update((other, None) for other in rotated if not other.endswith(_PACKED))
    return named, [path for path in beside if path not in named]


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _is_beside(path: str, of: str) -> bool:
    """Whether a rotation would give a file this name."""
    return path.startswith(of) and path[len(of) :].startswith(_ADDED)


def _where(stream: Stream) -> tuple[str, int, int]:
    return stream.source, stream.device, stream.inode


def _fits(fd: int, stream: Stream) -> bool:
    """Whether a file holds what a stream has read of it."""
    if os.fstat(fd).st_size < stream.offset or not _is_head(fd, stream):
        return False
    return _tail(fd, stream.offset) == stream.tail


def _is_same(one: _Open) -> bool:
    """Whether its file still holds the content that was read. Bytes read before this was found are of that one."""
    return one.size >= one.at and _is_head(one.fd, one.stream) and _tail(one.fd, one.at) == one.tail


def _is_line(fd: int, end: int, at: int, line: bytes) -> bool:
    """Whether a line stands there still."""
    return line == TOO_LONG or _bytes(fd, at, end - at).strip() == line


def _is_head(fd: int, stream: Stream) -> bool:
    return _digest(os.pread(fd, stream.head_bytes, 0)) == stream.head if stream.head_bytes else True


def _extend_head(fd: int, stream: Stream) -> None:
    """More of a content that was short when it was met."""
    if stream.head_bytes < _HEAD_BYTES:
        head = os.pread(fd, _HEAD_BYTES, 0)
        stream.head_bytes, stream.head = len(head), _digest(head)


def _tail(fd: int, offset: int) -> str:
    start = max(0, offset - _TAIL_BYTES)
    return _digest(_bytes(fd, start, offset - start)) if offset else ""


def _first_line(fd: int) -> bytes:
    """A digest of a file's first line, or of as much of it as tells files apart."""
    return hashlib.sha256(os.pread(fd, _HEAD_BYTES, 0).split(b"\n")[0].strip()).digest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes(fd: int, at: int, count: int) -> bytes:
    """So many bytes, fewer only at the end."""
    parts = []
    while count > 0 and (part := os.pread(fd, min(count, 16 << 20), at)):
        parts.append(part)
        at, count = at + len(part), count - len(part)
    return b"".join(parts)


def _line_end(fd: int, at: int, size: int) -> int:
    """Where the line ends that goes on at `at`, 0 where it does not yet."""
    while at < size and (data := os.pread(fd, _CHUNK_BYTES, at)):
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(data)
    return 0


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
