"""JSON Lines files that commands are given: each bad line is one error that names it, never what stood in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile


def values(file: Path) -> Iterator[tuple[str, int, Any]]:
    """Where each value stands (in words, and the line's number) and the value. Raises BadFile."""
    try:
        # Not splitlines: U+2028, U+2029 and U+0085 may stand in a text.
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"cannot read {file}: {type(error).__name__}", file=file.name) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{file.name} line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise BadFile(f"{where} is no JSON", file=file.name, line=number) from None
        yield where, number, value
