"""Reading fields of foreign JSON: typed, forgiving where logs differ, loud where a record cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rejoinder.core.types import Role

ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "human": Role.USER,
    "prompter": Role.USER,
    "assistant": Role.ASSISTANT,
    "ai": Role.ASSISTANT,
    "gpt": Role.ASSISTANT,
    "bot": Role.ASSISTANT,
    "chatgpt": Role.ASSISTANT,
    "bard": Role.ASSISTANT,
    "bing": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}


#: The year 5138, seconds since the epoch: greater numbers are milliseconds.
_LATEST_S = 1e11


class Unfit(ValueError):
    """An object that is no conversation of this format. The text names the field, never what stood in it."""


def mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unfit(f"{name} is no object")
    return value


def items(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unfit(f"{name} is no list")
    return value


def text(value: Any, name: str) -> str:
    """A string without the lone surrogates that broken exports hold (they cannot be stored as UTF-8)."""
    if not isinstance(value, str):
        raise Unfit(f"{name} is no text")
    return value.encode("utf-8", "replace").decode("utf-8")


def content(value: Any, name: str) -> str:
    """An OpenAI message content: text, a list of parts (their text joined; other parts marked), or null."""
    if value is None:
        return ""
    if isinstance(value, list):
        parts = [mapping(part, name) for part in value]
        return "\n".join(
            text(part["text"], f"{name}.text") if "text" in part else f"[{part.get('type', 'part')}]" for part in parts
        )
    return text(value, name)


def identity(value: Any) -> str:
    """An id as text; numbers are allowed, anything else is none, and so are the lone surrogates of broken exports: with
    them replaced, two ids would be one."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    named = str(value)
    return named if named.isascii() or named.encode("utf-8", "replace").decode("utf-8") == named else ""


def number(value: Any, name: str) -> float:
    """A finite number; true is 1, and text that is a number is one."""
    try:
        found = float(value) if isinstance(value, (bool, int, float, str)) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise Unfit(f"{name} is no number")
    return found


def role(value: Any) -> Role:
    known = ROLES.get(value.lower()) if isinstance(value, str) else None
    if known is None:
        raise Unfit("a turn's role is unknown")
    return known


def moment(value: Any) -> float | None:
    """Seconds since the epoch from a number (s or ms) or ISO 8601 text; None when there is no usable time."""
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        seconds = (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
        # An offset may carry the first and the last day beyond the years that can be told.
        return seconds if 0 < seconds < _LATEST_S else None
    # Compared before it is a float: JSON has numbers that are none.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1000 * _LATEST_S:
        return None
    return value / 1000 if value > _LATEST_S else float(value)
