"""YAML that a person gave, as plain values of bounded depth and size, or BadFile.

An alias may stand in many places, and in itself: what is small on disk can be endless to whoever walks it. Values are
counted as often as a walk would meet them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rejoinder.core.errors import BadFile

#: Mappings and lists within one another, and values in all.
MAX_DEPTH, MAX_VALUES = 50, 200_000
#: Whole numbers beyond 64 bits are nobody's setting, and the largest can be neither printed nor made a float.
_MOST = 2**63


def read(file: Path) -> Any:
    """What a file holds; None where it is empty. Raises BadFile."""
    try:
        text = file.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise BadFile(f"{file} cannot be read as YAML ({type(error).__name__})", file=file) from None
    return parse(text, str(file))


def parse(text: str, what: str) -> Any:
    """What a text holds. what: how an error calls it. Raises BadFile."""
    try:
        value = yaml.safe_load(text)
    except Exception as error:
        # PyYAML's constructors raise whatever comes: ValueError for `!!int x`, AttributeError for `!!timestamp x`,
        # KeyError for `!!bool x`, RecursionError for deep nesting.
        raise BadFile(f"{what} cannot be read as YAML ({type(error).__name__})", file=what) from None
    count, height = _measured(value, {})
    if count > MAX_VALUES or height > MAX_DEPTH:
        limits = f"{MAX_VALUES} values, {MAX_DEPTH} deep and of 64 bits each"
        raise BadFile(f"{what} stands for more than {limits}", file=what)
    return value


def _measured(value: Any, known: dict[int, tuple[float, int]]) -> tuple[float, int]:
    """How many values a walk would meet, without end where one holds itself, and how deep it would go.

    known: both, by identity, of the mappings and lists that were walked.
    """
    if isinstance(value, Mapping):
        inner = [*value, *value.values()]
    elif isinstance(value, (list, tuple, set)):
        inner = list(value)
    else:
        return (math.inf if isinstance(value, int) and abs(value) >= _MOST else 1), 0
    if id(value) not in known:
        known[id(value)] = math.inf, 0
        found = [_measured(item, known) for item in inner]
        known[id(value)] = 1 + sum(count for count, _ in found), 1 + max((height for _, height in found), default=0)
    return known[id(value)]
