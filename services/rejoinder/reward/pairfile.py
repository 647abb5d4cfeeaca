"""Files of judged pairs: JSON Lines {id, group, messages, a, b, pref}, checked whole before anything is computed.

A bad file is one error that names its line, never what stood in it.
"""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile
from rejoinder.core.types import Role

_FIELDS = ("group", "messages", "a", "b", "pref")


def read(path: Path) -> list[dict[str, Any]]:
    """Records of a JSON Lines file, gzipped or not. Raises BadFile with the line at fault."""
    try:
        data = path.read_bytes()
        lines = (gzip.decompress(data) if path.suffix == ".gz" else data).split(b"\n")
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"{path.name} cannot be read: {type(error).__name__}", file=path.name) from None
    records = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            records.append(_checked(json.loads(line)))
        except (ValueError, RecursionError) as error:
            fault = str(error) if type(error) is _Unfit else "is no JSON"
            raise BadFile(f"{path.name} line {number} {fault}", file=path.name, line=number) from None
    return records


class _Unfit(ValueError):
    """What is wrong with a record, never what stood in it."""


def _checked(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise _Unfit("is no JSON object")
    missing = [name for name in _FIELDS if name not in record]
    if missing:
        raise _Unfit(f"lacks {', '.join(missing)}")
    pref = record["pref"]
    if isinstance(pref, bool) or not isinstance(pref, int | float) or not 0 <= pref <= 1:
        raise _Unfit("needs a pref from 0 to 1")
    if not all(_is_text(record[name]) for name in ("a", "b")):
        raise _Unfit("needs texts for a and b")
    messages = record["messages"]
    if not isinstance(messages, list) or not messages or not all(_is_message(message) for message in messages):
        raise _Unfit("needs messages, each with a role and a text")
    return record


def _is_text(value: Any) -> bool:
    """Text that can be written as UTF-8: broken exports hold halves of characters."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("role"), str)
        and value["role"].upper() in set(Role)
        and _is_text(value.get("text"))
    )
