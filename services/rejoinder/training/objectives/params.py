"""Parameters of an objective: a frozen dataclass whose every field states its range, unit and the paper's value."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from rejoinder.core.errors import BadSettings


def number(default: float, *, low: float, high: float = math.inf, unit: str, paper: str) -> Any:
    """A float field in the half-open interval [low, high).

    unit: what one step of it means. paper: the value that the paper used, in words where it is not one number.
    """
    return dataclasses.field(default=default, metadata={"low": low, "high": high, "unit": unit, "paper": paper})


@dataclasses.dataclass(frozen=True)
class Checked:
    """Refuses a value outside its field's half-open range [low, high) at construction (BadSettings)."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            low, high = field.metadata["low"], field.metadata["high"]
            if not (isinstance(value, int | float) and math.isfinite(value) and low <= value < high):
                raise BadSettings(f"{field.name} must be a number in [{low}, {high})", field=field.name)
