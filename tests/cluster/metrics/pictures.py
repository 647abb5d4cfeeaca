"""Dashboards as one page, drawn from Prometheus's own answers to their panels' queries. Grafana has no part in it: what
is shown is where a panel lies, what it asks, and what came back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rejoinder.plots.document import document
from rejoinder.plots.markup import Safe, el
from rejoinder.plots.numerals import general
from rejoinder.plots.plot import Scale, svg, text

from tests.cluster.metrics.prometheus import EVERY_S
from tests.cluster.metrics.questions import Query, Series

#: Pixels of one of Grafana's columns and rows, and of what surrounds a panel.
COLUMN, ROW, GAP = 44.0, 36.0, 8.0
_LEFT, _TOP, _RIGHT = 62.0, 44.0, 22.0
_LINE = 15.0
#: Of a legend below its plot; what has no place is counted.
_NAMES, _LETTER = 6, 6.4
COLOURS = ("#0063a6", "#c24a00", "#007a59", "#8a4a78", "#a07800", "#5a636c", "#b3261e", "#3d8fd1")
_NOTE = (
    "Drawn from the answers of a real Prometheus server that scraped the services on loopback while a test used them; "
    "not by Grafana. Colours and the order of names are not Grafana's."
)

Answers = Mapping[Query, Series]


def page(titles: Mapping[str, str], answers: Answers, end: float) -> str:
    """titles: of the boards, by name. answers: of every query over the same time, which ended at `end`."""
    parts: list[Safe] = [el("h1", "Dashboards"), el("p", _NOTE, class_="lead")]
    for name, title in titles.items():
        shown = {query: series for query, series in answers.items() if query.board == name}
        parts.append(el("figure", el("h2", title), board(name, title, shown, end), el("p", _NOTE), id=name))
    return document("Rejoinder: dashboards", parts)


def board(name: str, title: str, answers: Answers, end: float) -> Safe:
    """One SVG, its panels where gridPos has them."""
    began = min((point[0] for series in answers.values() for each in series for point in each["values"]), default=end)
    panels = []
    for place, group in groupby(answers.items(), lambda item: item[0].place):
        x, y, width, height = place
        inner = _panel(list(group), (width * COLUMN - GAP, height * ROW - GAP), (began - end, 0.0), end)
        panels.append(el("g", inner, transform=f"translate({x * COLUMN:g} {y * ROW:g})"))
    rows = max(query.place[1] + query.place[3] for query in answers)
    return svg(f"board-{name}", (24 * COLUMN, rows * ROW), title, f"{len(panels)} panels", *panels)


def _panel(
    answers: Sequence[tuple[Query, Series]], size: tuple[float, float], span: tuple[float, float], end: float
) -> Safe:
    first, (width, height) = answers[0][0], size
    lines = [
        (query.named(each["metric"]), [(at - end, float(value)) for at, value in each["values"]])
        for query, series in answers
        for each in series
    ]
    # The largest first: what is behind `and … more` is the least.
    lines.sort(key=lambda line: -max((value for _, value in line[1] if math.isfinite(value)), default=-math.inf))
    floor = height - 26 - _LINE * _NAMES
    finite = [value for _, points in lines for _, value in points if math.isfinite(value)]
    top = max([*finite, 0.0]) or 1.0
    scales = Scale(*span, _LEFT, width - _RIGHT), Scale(min([*finite, 0.0]), top * 1.08, floor, _TOP)
    parts: list[Safe] = [
        el("rect", x=0.5, y=0.5, width=width - 1, height=height - 1, rx=4, fill="none", stroke="#9aa2aa"),
        text(12, 22, first.panel, kind="axis-title"),
        *_axes(scales, first.unit, width),
        *(_curve(points, scales, n) for n, (_, points) in enumerate(lines)),
        *_legend(lines, first.unit, floor + 36, width),
    ]
    if not finite:
        parts.append(text(width / 2, (_TOP + floor) / 2, "No data", anchor="middle"))
    return el("g", parts)


def _axes(scales: tuple[Scale, Scale], unit: str, width: float) -> list[Safe]:
    x, y = scales
    parts = []
    for tick in y.ticks(4):
        parts.append(el("line", x1=_LEFT, x2=width - _RIGHT, y1=y(tick), y2=y(tick), class_="tick"))
        parts.append(text(_LEFT - 6, y(tick) + 4, told(tick, unit), anchor="end"))
    for tick in x.ticks(4):
        parts.append(text(x(tick), y.start + 16, f"{general(tick)} s" if tick else "now", anchor="middle"))
    parts.append(el("line", x1=_LEFT, x2=width - _RIGHT, y1=y.start, y2=y.start, class_="axis"))
    return parts


def _curve(points: Sequence[tuple[float, float]], scales: tuple[Scale, Scale], number: int) -> Safe:
    """Pieces between what is no number or not there; a lone point is a dot. Dashed where the colours begin anew."""
    (x, y), colour = scales, COLOURS[number % len(COLOURS)]
    dashes = "4 3" if number >= len(COLOURS) else None
    pieces: list[list[tuple[float, float]]] = [[]]
    last = math.inf
    for at, value in points:
        if at - last > 1.5 * EVERY_S:
            pieces.append([])
        if math.isfinite(value):
            pieces[-1].append((x(at), y(value)))
            last = at
    parts = []
    for piece in pieces:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in piece)
        if len(piece) > 1:
            parts.append(
                el("polyline", points=path, fill="none", stroke=colour, stroke_width="1.5", stroke_dasharray=dashes)
            )
        elif piece:
            parts.append(el("circle", cx=piece[0][0], cy=piece[0][1], r=2.0, fill=colour))
    return el("g", parts)


def _legend(lines: Sequence[tuple[str, Any]], unit: str, top: float, width: float) -> list[Safe]:
    """A line a name, with the last value."""
    longest = int((width - 40) / _LETTER)
    shown = lines if len(lines) <= _NAMES else lines[: _NAMES - 1]
    parts = []
    for number, (name, points) in enumerate(shown):
        y, value = top + _LINE * number, told(_last(points), unit)
        room = longest - len(value) - 1
        words = name if len(name) <= room else f"{name[: room - 1]}…"
        parts.append(el("rect", x=12, y=y - 7, width=10, height=4, fill=COLOURS[number % len(COLOURS)]))
        parts.append(text(28, y, f"{words} {value}"))
    if len(lines) > len(shown):
        parts.append(text(28, top + _LINE * len(shown), f"and {len(lines) - len(shown)} more"))
    return parts


def _last(points: Sequence[tuple[float, float]]) -> float:
    return next((value for _, value in reversed(points) if math.isfinite(value)), -math.inf)


def told(value: float, unit: str) -> str:
    """A value in a panel's unit."""
    if not math.isfinite(value):
        return "–"
    if unit == "percentunit":
        return f"{general(round(100 * value, 3))} %"
    if unit == "s":
        return f"{general(value)} s" if abs(value) >= 1 or not value else f"{general(round(1000 * value, 3))} ms"
    if unit == "bytes":
        return f"{general(round(value / 1024, 2))} KiB" if abs(value) >= 1024 else f"{general(value)} B"
    return f"{general(round(value, 4))}{'/s' if unit == 'reqps' else ''}"
