"""Which signals speak for an event: where people labelled it, their latest label alone.

A verdict's judges are pinned by name and never see a label: people look at some answers of one arm and at none of the
other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from rejoinder.core.human import EXTRACTOR

_Row = Mapping[str, Any]


def recency(signal: _Row) -> tuple[int, int, str]:
    """What "latest" goes by."""
    return signal["at"], signal["accepted_at"], signal["event_id"]


def label_of(signals: Iterable[_Row]) -> _Row | None:
    """The label in force of one event's signals, None where nobody made one."""
    return max((signal for signal in signals if signal["extractor"] == EXTRACTOR), key=recency, default=None)


def in_force(signals: Iterable[_Row]) -> list[_Row]:
    """Of the signals of any events those that speak for theirs."""
    by_source: dict[str, list[_Row]] = defaultdict(list)
    for signal in signals:
        by_source[signal["source_event_id"]].append(signal)
    out: list[_Row] = []
    for said in by_source.values():
        label = label_of(said)
        out += said if label is None else [label]
    return out
