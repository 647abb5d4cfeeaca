"""The one table type: closed, ordered, greppable.

A room that grows (extractors, objectives, heads, rankers, strategies, measures, pair builders) lists its
rows as one literal `Table("objective", Row(...), Row(...))`. An unknown name answers with the known ones;
an unknown parameter, or one of another type, is a TypeError that names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rejoinder.core import typed
from rejoinder.core.errors import BadSettings, UnknownRow


@dataclass(frozen=True)
class Row:
    """One method.

    name: what settings and recipes call it. make: the function or class that does the work.
    params: its frozen parameter class (every field with range, unit and the paper's value), or None.
    paper: arXiv id or citation, "" where the method is ours. claim: what it promises, in one sentence.
    traits: what the kind's contract suite must know about it (view="pair", monotone=True, …).
    """

    name: str
    make: Callable[..., Any]
    params: type | None = None
    paper: str = ""
    claim: str = ""
    traits: Mapping[str, Any] = field(default_factory=dict)

    def with_params(self, values: Mapping[str, Any] | None = None) -> Any:
        """The row's parameters from a mapping; TypeError on an unknown name or a value of another type, and whatever
        the parameters' own class raises for a value out of its range."""
        if self.params is not None:
            return typed.make(self.params, {} if values is None else values)
        if values:
            raise TypeError(f"{self.name} takes no parameters")
        return None


class Table(Mapping[str, Row]):
    """A closed, ordered collection of rows of one kind. owns: nothing mutable."""

    def __init__(self, kind: str, *rows: Row) -> None:
        self.kind = kind
        self._rows = {row.name: row for row in rows}
        if len(self._rows) != len(rows):
            raise ValueError(f"two rows of the {kind} table share a name")

    def __getitem__(self, name: str) -> Row:
        try:
            return self._rows[name]
        except KeyError:
            raise UnknownRow(self.kind, name, tuple(self._rows)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def resolve(self, name: str) -> Row:
        """A row by its name, or a user's private one as `module:ROW` (its digest goes into the manifest).

        Raises UnknownRow where there is none, BadSettings where the module cannot be imported.
        """
        if ":" not in name:
            return self[name]
        module, _, attribute = name.partition(":")
        try:
            found = importlib.import_module(module)
        except Exception as error:
            # Whatever a private module does as it is imported: the cause is chained for whoever wrote it.
            raise BadSettings(f"{self.kind} {name}: {module!r} cannot be imported ({type(error).__name__})") from error
        row = getattr(found, attribute, None)
        if not isinstance(row, Row):
            raise UnknownRow(self.kind, name, tuple(self._rows))
        return row
