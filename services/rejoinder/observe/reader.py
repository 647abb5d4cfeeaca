"""Files of conversations, a line at a time: JSON Lines, one JSON array or a table (`.csv`), plain or gzip; bad lines
are counted.

A file that cannot be read to its end is refused before its first conversation, so that nothing is taken of it: once
through for the bytes, once for what they say.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rejoinder.core.errors import BadFile
from rejoinder.observe.conversation import Conversation, Exchange, Reacted
from rejoinder.observe.formats import FORMATS, format_of
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.mapped import Event, Mapper, Place, held
from rejoinder.observe.turns import Conversations, Order

#: Longer lines are refused unread: no conversation is that long, and a hostile file must not fill the memory.
MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass
class Reading:
    """What was met on the way. owns: the counts of one file's reading."""

    path: Path
    format: str = ""
    lines: int = 0
    conversations: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, line: int, cause: str) -> None:
        self.refused[cause] += 1
        self.first_refused.setdefault(cause, line)


def conversations(
    path: Path, reading: Reading, format_name: str = "auto", on_bytes: Callable[[int], None] = lambda n: None
) -> Iterator[Conversation | Exchange | Reacted]:
    """The conversations of a file, or its exchanges and reactions. Raises BadFile when it cannot be opened or holds no
    record of a known format.

    on_bytes: told how many bytes of the file were read, for a progress bar (compressed bytes for gzip).
    """
    row = FORMATS[format_name] if format_name != "auto" else None
    for number, value in _objects(path, reading, on_bytes):
        if row is None:
            row = format_of(value)
            if row is None:
                reading.refuse(number, "no known format")
                continue
        reading.format = row.name
        try:
            found = list(row.make(value))
        except Unfit as cause:
            reading.refuse(number, str(cause))
            continue
        reading.conversations += len(found)
        yield from found
    if not reading.conversations:
        raise _empty(path, reading)


def mapped(
    path: Path, reading: Reading, mapper: Mapper, on_bytes: Callable[[int], None] = lambda n: None
) -> Iterator[Event]:
    """The events of a file by a field map, as the observer makes them of a topic; single messages at its end, when all
    of a conversation is known. What has no id of its own is called by what it holds and its line. Raises BadFile."""
    reading.format = "map"
    whole = Conversations(Order(settle_s=0.0, context_s=math.inf, max_turns=sys.maxsize, max_bytes=sys.maxsize))
    for number, value in _objects(path, reading, on_bytes):
        try:
            found = mapper.read(value, Place(mapper.source, held(value), 0, number))
        except Unfit as cause:
            reading.refuse(number, str(cause))
            continue
        reading.conversations += not found.skipped
        yield from found.events
        if found.said is not None:
            whole.add(found.said, mapper, number)
    for settled in whole.settle(math.inf):
        if settled.fault is not None:
            reading.refuse(settled.tag, str(settled.fault))
        yield from settled.events
    if not reading.conversations:
        raise _empty(path, reading)


def _empty(path: Path, reading: Reading) -> BadFile:
    causes = "; ".join(f"{cause} (line {reading.first_refused[cause]})" for cause in reading.refused)
    return BadFile(f"{path.name} holds no conversation" + (f": {causes}" if causes else ""), file=path.name)


def _objects(path: Path, reading: Reading, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    # A pipe is read once; half of it may be taken.
    if path.is_file():
        with _opened(path) as (_, file):
            _check_whole(file, path)
    with _opened(path) as (raw, file):
        if _is_table(path):
            yield from _table(file, path, reading, lambda: on_bytes(raw.tell() if raw.seekable() else 0))
            return
        if _starts_an_array(file):
            yield from _array(file, path, reading)
            return
        for number, line in _lines(file, path):
            on_bytes(raw.tell() if raw.seekable() else 0)
            if not line.strip():
                continue
            reading.lines += 1
            value = _parse(line)
            if not isinstance(value, dict):
                reading.refuse(number, "no JSON object")
                continue
            yield number, value


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file, and what it holds unpacked."""
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            yield raw, gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[misc]
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BadFile(f"cannot open {path}: {error.strerror}", file=path.name) from None
    except (EOFError, zlib.error, OSError) as error:
        raise BadFile(f"{path.name} is damaged: {type(error).__name__}", file=path.name) from None


def _check_whole(file: IO[bytes], path: Path) -> None:
    """Reads to the end, and raises what is met on the way."""
    if _starts_an_array(file):
        while file.read(1024 * 1024):
            pass
    else:
        deque(_lines(file, path), maxlen=0)


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered from 1. Raises BadFile for one that is too long, before it is in memory."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise BadFile(f"{path.name} line {number} is longer than {MAX_LINE_BYTES} bytes", file=path.name)
        yield number, line


def _is_table(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(".csv")


def _table(
    file: IO[bytes], path: Path, reading: Reading, told: Callable[[], None]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows by the names of the first. A cell may hold line ends; a file's lines are each below the limit."""
    # The library's own limit is for all of a process; a cell holds a whole conversation here.
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = (line.decode("utf-8-sig" if number == 1 else "utf-8", "replace") for number, line in _lines(file, path))
    rows = csv.DictReader(lines, strict=True)
    try:
        for row in rows:
            told()
            reading.lines += 1
            if None in row or None in row.values():
                reading.refuse(rows.line_num, "more or fewer cells than the first row")
                continue
            yield rows.line_num, dict(row)
    except csv.Error:
        raise BadFile(f"{path.name} line {rows.line_num} is no row of a table", file=path.name) from None


def _starts_an_array(file: IO[bytes]) -> bool:
    head = file.peek(64)[:64].lstrip()  # type: ignore[attr-defined]
    return head.startswith(b"[")


def _array(file: IO[bytes], path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    data = file.read(MAX_LINE_BYTES + 1)
    if len(data) > MAX_LINE_BYTES:
        raise BadFile(f"{path.name} is one JSON array above {MAX_LINE_BYTES} bytes; write JSON Lines", file=path.name)
    values = _parse(data)
    if not isinstance(values, list):
        raise BadFile(f"{path.name} is no valid JSON", file=path.name)
    for number, value in enumerate(values, 1):
        reading.lines += 1
        if isinstance(value, dict):
            yield number, value
        else:
            reading.refuse(number, "no JSON object")


def _parse(data: bytes) -> Any:
    """The value, or None for what is no JSON in UTF-8 (nesting deep enough to exhaust the parser included)."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
