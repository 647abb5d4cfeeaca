"""Estimates with their intervals, one under another, or counts as bars: a row for each, its name on the left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import general
from rejoinder.plots.plot import LETTER, Scale, svg, text

WIDTH = 420.0
_TOP, _FOOT, _STEP, _GAP, _MARK = 12.0, 40.0, 13.0, 10.0, 3.6
#: Letters of a row's name that are drawn; the table beside the plot has it whole.
_LONGEST = 27


@dataclass(frozen=True)
class Estimated:
    """One estimate of a row. kind: the class that gives it colour. note: what it says when pointed at. hollow: drawn,
    but does not count. square: its mark, so that colour is not alone."""

    value: float
    low: float | None = None
    high: float | None = None
    kind: str = "s1"
    note: str = ""
    hollow: bool = False
    square: bool = False


@dataclass(frozen=True)
class Line:
    """A row. said: at its right end. absent: stands in the place of what was not measured."""

    name: str
    estimates: Sequence[Estimated]
    said: str = ""
    said_kind: str = "label"
    absent: str = ""


@dataclass(frozen=True)
class Mark:
    """An upright line. allowed: the side of it where an estimate should lie, -1 left, 1 right, 0 neither."""

    value: float
    words: str
    allowed: int = 0
    kind: str = "reference"


def forest(
    key: str,
    title: str,
    lines: Sequence[Line],
    x_title: str,
    *,
    mark: Mark | None = None,
    bars: bool = False,
    zero: bool = False,
    unit: float = 1.0,
) -> Safe:
    """key: unique on the page. bars: a bar from 0 to each row's first estimate. zero: 0 is on the axis. unit: axis and
    description are written in `unit` times the value (100: percent)."""
    left = 14 + LETTER * min(_LONGEST, max((len(line.name) for line in lines), default=0))
    right = WIDTH - 10 - LETTER * max((len(line.said) for line in lines), default=0)
    x = _scale(lines, mark, left + 6, right - 6, bars or zero)
    heights = [_STEP * max(1, len(line.estimates)) + _GAP for line in lines]
    floor = _TOP + sum(heights)
    parts: list[Child] = [_allowed(x, mark, floor)]
    for tick in x.ticks(4):
        parts.append(el("line", x1=x(tick), x2=x(tick), y1=_TOP, y2=floor, class_="tick"))
        parts.append(text(x(tick), floor + 15, general(unit * tick), anchor="middle"))
    parts.append(el("line", x1=left, x2=right, y1=floor, y2=floor, class_="axis"))
    parts.append(text((left + right) / 2, floor + 32, x_title, kind="axis-title", anchor="middle"))
    if mark:
        parts.append(el("line", x1=x(mark.value), x2=x(mark.value), y1=_TOP, y2=floor, class_=mark.kind))
    top = _TOP
    for line, height in zip(lines, heights, strict=True):
        parts.append(_line(line, x, top, height, left, right, bars))
        top += height
    return svg(key, (WIDTH, floor + _FOOT), title, _told(lines, x_title, mark, unit), *parts)


def _scale(lines: Sequence[Line], mark: Mark | None, start: float, end: float, zero: bool) -> Scale:
    ends = [v for line in lines for e in line.estimates for v in (e.value, e.low, e.high) if v is not None]
    ends += ([mark.value] if mark else []) + ([0.0] if zero else [])
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.06 * (high - low) or 0.1 * (abs(high) or 1.0)
    return Scale(low if zero and low == 0.0 else low - pad, high + pad, start, end)


def _allowed(x: Scale, mark: Mark | None, floor: float) -> Safe | None:
    if not mark or not mark.allowed:
        return None
    begin, end = (x.start, x(mark.value)) if mark.allowed < 0 else (x(mark.value), x.end)
    return el("rect", x=begin, y=_TOP, width=max(end - begin, 0.0), height=floor - _TOP, class_="allowed")


def _line(line: Line, x: Scale, top: float, height: float, left: float, right: float, bars: bool) -> Safe:
    middle = top + height / 2
    name = line.name if len(line.name) <= _LONGEST else line.name[: _LONGEST - 1] + "…"
    parts: list[Child] = [text(left - 4, middle + 4, name, anchor="end")]
    if line.said:
        parts.append(text(right + 6, middle + 4, line.said, kind=f"label {line.said_kind}"))
    if not line.estimates:
        parts.append(text(left + 8, middle + 4, line.absent))
    for number, estimate in enumerate(line.estimates):
        y = top + _GAP / 2 + _STEP * (number + 0.5)
        if bars and not number:
            width = abs(x(estimate.value) - x(0.0))
            begin = min(x(estimate.value), x(0.0))
            parts.append(el("rect", x=begin, y=y - 5, width=width, height=10.0, class_=f"mark {estimate.kind}"))
            continue
        parts.append(_estimate(estimate, x, y))
    return join(parts)


def _estimate(estimate: Estimated, x: Scale, y: float) -> Safe:
    whisker = None
    if estimate.low is not None and estimate.high is not None:
        ends = {"x1": x(estimate.low), "x2": x(estimate.high)}
        whisker = el("line", y1=y, y2=y, **ends, class_=f"line {estimate.kind}")
    kind = f"{'hollow' if estimate.hollow else 'mark'} {estimate.kind}"
    note = el("title", estimate.note) if estimate.note else None
    at = x(estimate.value)
    if estimate.square:
        shape = el("rect", note, x=at - _MARK, y=y - _MARK, width=2 * _MARK, height=2 * _MARK, class_=kind)
    else:
        shape = el("circle", note, cx=at, cy=y, r=_MARK, class_=kind)
    return join([whisker, shape])


def _told(lines: Sequence[Line], x_title: str, mark: Mark | None, unit: float) -> str:
    told = []
    for line in lines:
        values = ", ".join(general(unit * e.value) for e in line.estimates) or line.absent
        told.append(f"{line.name}: {values}{f' ({line.said})' if line.said else ''}.")
    return " ".join([f"{x_title}.", *told, *([f"Upright: {mark.words}."] if mark else [])])
