"""A known format's records as our events: what a `mapped.Mapper` is for a field map. Events are called as an import
calls them, so that a file which is imported once and followed afterwards counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rejoinder.observe.events import ImportAs, events_of
from rejoinder.observe.formats import FORMATS, format_of
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.mapped import Found, Place


class Formatted:
    """One source's records. target: format → whose data its conversations become. owns: nothing."""

    form = "conversation"

    def __init__(self, name: str, target: Callable[[str], ImportAs]) -> None:
        self._name = name
        self._target = target

    def read(self, record: Any, place: Place) -> Found:
        """Raises Unfit."""
        row = format_of(record) if self._name == "auto" else FORMATS[self._name]
        if row is None:
            raise Unfit("no known format")
        target = self._target(row.name)
        events = tuple(event for one in row.make(record) for event in events_of(one, target))
        return Found(events, skipped=not events)

    def user_of(self, record: Any) -> str:
        """Several people may speak in it: nobody that a dead letter would be about."""
        return ""
