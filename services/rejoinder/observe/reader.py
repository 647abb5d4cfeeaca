"""Files of conversations, a line at a time: JSON Lines (plain or gzip) or one JSON array; bad lines are counted."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from rejoinder.core.errors import BadFile
from rejoinder.observe.conversation import Conversation
from rejoinder.observe.formats import FORMATS
from rejoinder.observe.formats.fields import Unfit

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
) -> Iterator[Conversation]:
    """The conversations of a file. Raises BadFile when it cannot be opened or holds no record of a known format.

    on_bytes: told how many bytes of the file were read, for a progress bar (compressed bytes for gzip).
    """
    row = FORMATS[format_name] if format_name != "auto" else None
    for number, value in _objects(path, reading, on_bytes):
        if row is None:
            row = next((FORMATS[name] for name in FORMATS if FORMATS[name].traits["looks"](value)), None)
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
        causes = "; ".join(f"{cause} (line {reading.first_refused[cause]})" for cause in reading.refused)
        raise BadFile(f"{path.name} holds no conversation" + (f": {causes}" if causes else ""), file=path.name)


def _objects(path: Path, reading: Reading, on_bytes: Callable[[int], None]) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            if _starts_an_array(file):
                yield from _array(file, path, reading)
                return
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                on_bytes(raw.tell())
                if len(line) > MAX_LINE_BYTES:
                    raise BadFile(f"{path.name} line {number} is longer than {MAX_LINE_BYTES} bytes", file=path.name)
                if not line.strip():
                    continue
                reading.lines += 1
                value = _parse(line)
                if not isinstance(value, dict):
                    reading.refuse(number, "no JSON object")
                    continue
                yield number, value
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise BadFile(f"cannot open {path}: {error.strerror}", file=path.name) from None
    except (gzip.BadGzipFile, EOFError, OSError) as error:
        raise BadFile(f"{path.name} is damaged: {type(error).__name__}", file=path.name) from None


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
