"""How the page writes a number or a name. Whatever is absent, no number or not finite is written as a dash."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

ABSENT = "–"
MINUS = "\N{MINUS SIGN}"
_NBSP = "\N{NO-BREAK SPACE}"


def number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def named(value: Any) -> str:
    """A name, an id or a word as it is; a dash for none."""
    return ABSENT if value in (None, "") or (isinstance(value, float) and number(value) is None) else str(value)


@dataclass(frozen=True)
class Estimate:
    """A value in the unit of the result's JSON, with the ends of its 95 % interval where they are known."""

    value: float
    low: float | None
    high: float | None

    @staticmethod
    def of(raw: Any) -> Estimate | None:
        if not isinstance(raw, Mapping) or (value := number(raw.get("value"))) is None:
            return None
        return Estimate(value, number(raw.get("low")), number(raw.get("high")))


def percent(value: Any) -> str:
    """0.2534 as 25.3 %."""
    found = number(value)
    return ABSENT if found is None else f"{_signed(100 * found, '.1f')}{_NBSP}%"


def points(value: Any) -> str:
    """A difference of shares in points, always with its sign: 0.0731 as +7.3."""
    found = number(value)
    return ABSENT if found is None else _signed(100 * found, "+.1f")


def count(value: Any) -> str:
    found = number(value)
    return ABSENT if found is None else _signed(found, ",.0f")


def decimal(value: Any, places: int = 1) -> str:
    found = number(value)
    return ABSENT if found is None else _signed(found, f",.{places}f")


def seconds(value: Any) -> str:
    return f"{decimal(value)}{_NBSP}s"


def general(value: Any) -> str:
    """A number of unknown unit: whole as it is, else three significant digits."""
    found = number(value)
    if found is None:
        return ABSENT
    if found.is_integer() or abs(found) >= 1000:
        return _signed(found, ",.0f")
    return _signed(found, ".3g")


def percent_interval(estimate: Estimate | None) -> str:
    """25.3 % [24.1, 26.5], which breaks before the bracket and nowhere else."""
    return ABSENT if estimate is None else percent(estimate.value) + _between(estimate, ".1f", 100)


def points_interval(estimate: Estimate | None) -> str:
    """+7.3 [+5.9, +8.7]"""
    return ABSENT if estimate is None else points(estimate.value) + _between(estimate, "+.1f", 100)


def general_interval(estimate: Estimate | None) -> str:
    return ABSENT if estimate is None else general(estimate.value) + _between(estimate, ".3g", 1)


def moment(since: Any) -> str:
    """Seconds since the epoch as a time in UTC; what lies beyond the calendar is no moment."""
    found = number(since)
    if found is None:
        return ABSENT
    try:
        return datetime.fromtimestamp(found, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        return ABSENT


def _between(estimate: Estimate, form: str, unit: float) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{_signed(unit * estimate.low, form)},{_NBSP}{_signed(unit * estimate.high, form)}]"


def _signed(value: float, form: str) -> str:
    """With a true minus sign, and none (nor a plus) before what is written as zero."""
    written = format(value, form)
    if not any(digit in written.partition("e")[0] for digit in "123456789"):
        return written.lstrip("+-")
    return written.replace("-", MINUS)
