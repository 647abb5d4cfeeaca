"""From rows of rounds to what a chart draws: points with their notes, and ticks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rejoinder.plots.numerals import Estimate, general, named, number, percent_interval
from rejoinder.plots.plot import Point

Rows = Sequence[Mapping[str, Any]]


def estimates(rows: Rows, name: str, words: str) -> Sequence[Point]:
    found = [(row, Estimate.of(row.get(name))) for row in rows]
    return [
        Point(round_of(row), e.value, e.low, e.high, note_of(row, words, percent_interval(e)), not row.get("promoted"))
        for row, e in found
        if e is not None
    ]


def plain(rows: Rows, name: str, told: Callable[[float], str]) -> Sequence[Point]:
    found = [(row, number(row.get(name))) for row in rows]
    return [
        Point(round_of(row), v, note=note_of(row, told(v)), hollow=not row.get("promoted"))
        for row, v in found
        if v is not None
    ]


def note_of(row: Mapping[str, Any], *words: str) -> str:
    return f"round {named(row.get('round'))} ({named(row.get('version'))}): {' '.join(words)}"


def round_of(row: Mapping[str, Any]) -> float:
    return number(row.get("round")) or 0.0


def last_round(rows: Rows) -> float:
    return max((round_of(row) for row in rows), default=0.0)


def round_ticks(rows: Rows) -> Sequence[tuple[float, str]]:
    return [(round_of(row), general(round_of(row))) for row in rows]
