"""Values of files that this process did not write, taken by their type or refused by their field."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rejoinder.core.errors import BadFile

#: Longer ones are nobody's name.
LONGEST = 500


@dataclass(frozen=True)
class At:
    """A value and where it stands. file: the file's name; path: the field's, "" for the whole.

    Every method raises BadFile with both. Absent and null are the same.
    """

    file: str
    path: str
    value: Any

    def refuse(self, what: str) -> BadFile:
        where = f"{self.path} " if self.path else ""
        return BadFile(f"{self.file}: {where}must be {what}", file=self.file, field=self.path)

    def __getitem__(self, name: str) -> At:
        """The field of this name; absent where there is none."""
        return At(self.file, f"{self.path}.{name}" if self.path else name, self._mapping().get(name))

    @property
    def absent(self) -> bool:
        return self.value is None

    def number(self) -> float | None:
        if self.value is None:
            return None
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.refuse("a number")
        if (isinstance(self.value, float) and not math.isfinite(self.value)) or abs(self.value) > 1e300:
            raise self.refuse("a finite number")
        return self.value

    def count(self) -> int:
        """A whole number from 0; 0 where it is absent."""
        found = self.number() or 0
        if found < 0 or found != int(found):
            raise self.refuse("a count")
        return int(found)

    def text(self) -> str:
        """ "" where it is absent."""
        if self.value is None:
            return ""
        if not isinstance(self.value, str):
            raise self.refuse("text")
        if len(self.value) > LONGEST:
            raise self.refuse(f"text of at most {LONGEST} characters")
        return self.value

    def true(self) -> bool:
        """False where it is absent."""
        if self.value is not None and not isinstance(self.value, bool):
            raise self.refuse("true or false")
        return bool(self.value)

    def each(self) -> Iterator[At]:
        """The items of a list; none where it is absent."""
        if self.value is not None and not isinstance(self.value, list | tuple):
            raise self.refuse("a list")
        for number, item in enumerate(self.value or ()):
            yield At(self.file, f"{self.path}[{number}]", item)

    def items(self) -> Iterator[tuple[str, At]]:
        """Names and fields of an object; none where it is absent."""
        for name in self._mapping():
            if not isinstance(name, str) or len(name) > LONGEST:
                raise self.refuse("an object with short names")
            yield name, self[name]

    def counts(self) -> dict[str, int]:
        return {name: field.count() for name, field in self.items()}

    def figure(self) -> dict[str, Any] | None:
        """{"value", "low", "high"}, and n where it is told; None where there is no value."""
        if self["value"].number() is None:
            return None
        found: dict[str, Any] = {name: self[name].number() for name in ("value", "low", "high")}
        return found | ({} if self["n"].absent else {"n": self["n"].count()})

    def _mapping(self) -> dict[str, Any]:
        if self.value is not None and not isinstance(self.value, dict):
            raise self.refuse("an object")
        return self.value or {}
