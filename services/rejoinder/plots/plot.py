"""What every chart is drawn with: scales, axes, a line with its interval, labels that do not lie on each other.

Coordinates are those of the SVG's viewBox; one unit is about one CSS pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rejoinder.plots.markup import Child, Safe, el, join

# A label's line height, and the width to allow a letter of the charts' text (style.py: 12px, bold).
LINE, LETTER = 14.0, 7.0
_MARK = 3.6


@dataclass(frozen=True)
class Scale:
    """A linear map of [low, high] to [start, end]; the ends may be turned round."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = (self.high - self.low) or 1.0
        return self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self, most: int) -> Sequence[float]:
        """At most about `most` round values inside the domain."""
        step = nice_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


@dataclass(frozen=True)
class Frame:
    """The plot's rectangle and what lies on it."""

    x: Scale
    y: Scale

    @property
    def box(self) -> tuple[float, float, float, float]:
        """left, top, width, height"""
        return self.x.start, self.y.end, self.x.end - self.x.start, self.y.start - self.y.end


@dataclass(frozen=True)
class Point:
    """note: what it says when pointed at. hollow: drawn, but the line passes it by. tag: a few letters beside it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""
    hollow: bool = False
    tag: str = ""


@dataclass(frozen=True)
class Series:
    """kind: the class that gives it colour and dashes. mark: "circle" or "square", so that colour is not alone."""

    label: str
    kind: str
    points: Sequence[Point]
    mark: str = "circle"


@dataclass(frozen=True)
class EndLabel:
    """A label in the right margin that belongs to the height `y` of the plot."""

    y: float
    text: str
    kind: str


def nice_step(rough: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * (1 - 1e-9))


def svg(key: str, size: tuple[float, float], title: str, desc: str, *parts: Child) -> Safe:
    """A picture that a screen reader names. key: unique on the page."""
    return el(
        "svg",
        el("title", title, id=f"{key}-title"),
        el("desc", desc, id=f"{key}-desc"),
        *parts,
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
        role="img",
        aria_labelledby=f"{key}-title {key}-desc",
        xmlns="http://www.w3.org/2000/svg",
    )


def text(x: float, y: float, words: str, *, kind: str = "label", anchor: str = "start") -> Safe:
    return el("text", words, x=x, y=y, class_=kind, text_anchor=anchor)


def axes(
    frame: Frame,
    x_ticks: Iterable[tuple[float, str]],
    y_ticks: Iterable[tuple[float, str]],
    *,
    y_title: str,
    x_title: str = "",
) -> Safe:
    """Grid lines at the y ticks, labels at both, the y title above the plot (nothing to read sideways)."""
    left, top, width, height = frame.box
    parts: list[Safe] = [text(left, top - 10, y_title, kind="axis-title")]
    for value, words in y_ticks:
        y = frame.y(value)
        parts.append(el("line", x1=left, x2=left + width, y1=y, y2=y, class_="tick"))
        parts.append(text(left - 6, y + 4, words, anchor="end"))
    base = top + height
    parts.append(el("line", x1=left, x2=left + width, y1=base, y2=base, class_="axis"))
    for value, words in x_ticks:
        x = frame.x(value)
        parts.append(el("line", x1=x, x2=x, y1=base, y2=base + 4, class_="axis"))
        parts.append(text(x, base + 17, words, anchor="middle"))
    if x_title:
        parts.append(text(left + width / 2, base + 34, x_title, kind="axis-title", anchor="middle"))
    return join(parts)


def rule(frame: Frame, value: float, kind: str) -> Safe:
    """A horizontal line over the whole plot."""
    left, _, width, _ = frame.box
    return el("line", x1=left, x2=left + width, y1=frame.y(value), y2=frame.y(value), class_=kind)


def upright(frame: Frame, value: float, kind: str) -> Safe:
    """A vertical line over the whole plot."""
    _, top, _, height = frame.box
    return el("line", x1=frame.x(value), x2=frame.x(value), y1=top, y2=top + height, class_=kind)


def banded_line(frame: Frame, series: Series) -> Safe:
    """The line through the points that are not hollow, over its interval band."""
    on = [p for p in series.points if not p.hollow]
    wide = [p for p in on if p.low is not None and p.high is not None]
    upper = [f"{frame.x(p.x):.2f},{frame.y(p.high or 0.0):.2f}" for p in wide]
    lower = [f"{frame.x(p.x):.2f},{frame.y(p.low or 0.0):.2f}" for p in reversed(wide)]
    path = " ".join(f"{frame.x(p.x):.2f},{frame.y(p.y):.2f}" for p in on)
    return join(
        [
            el("polygon", points=" ".join(upper + lower), class_=f"band {series.kind}") if len(wide) > 1 else None,
            el("polyline", points=path, class_=f"line {series.kind}") if len(on) > 1 else None,
        ]
    )


def marks(frame: Frame, series: Series) -> Safe:
    """Every point with its whisker and its note."""
    return join(_mark(frame, series, point) for point in series.points)


def _mark(frame: Frame, series: Series, point: Point) -> Safe:
    x, y = frame.x(point.x), frame.y(point.y)
    whisker = None
    if point.low is not None and point.high is not None:
        ends = {"y1": frame.y(point.low), "y2": frame.y(point.high)}
        whisker = el("line", x1=x, x2=x, **ends, class_=f"line {series.kind}")
    kind = f"{'hollow' if point.hollow else 'mark'} {series.kind}"
    note = el("title", point.note) if point.note else None
    if series.mark == "square":
        side = 2 * _MARK
        shape = el("rect", note, x=x - _MARK, y=y - _MARK, width=side, height=side, class_=kind)
    else:
        shape = el("circle", note, cx=x, cy=y, r=_MARK, class_=kind)
    tag = text(x, y - 8, point.tag, kind="tag", anchor="middle") if point.tag else None
    return join([whisker, shape, tag])


def clipped(frame: Frame, *parts: Child) -> Safe:
    """The parts, cut at the plot's edges."""
    left, top, width, height = frame.box
    return el(
        "svg", *parts, x=left, y=top, width=width, height=height, viewBox=f"{left:g} {top:g} {width:g} {height:g}"
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> Sequence[float]:
    """Heights near the wanted ones, in their order, at least `gap` apart and inside [low, high] if there is room."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    placed: dict[int, float] = {}
    floor = low
    for i in order:
        placed[i] = floor = max(wanted[i], floor)
        floor += gap
    roof = high
    for i in reversed(order):
        placed[i] = min(placed[i], roof)
        roof = placed[i] - gap
    return [placed[i] for i in range(len(wanted))]


def end_labels(frame: Frame, labels: Sequence[EndLabel]) -> Safe:
    """Labels right of the plot, moved apart, each tied to its height by a thin line."""
    left, top, width, height = frame.box
    edge = left + width
    wanted = [min(max(frame.y(label.y), top), top + height) for label in labels]
    parts: list[Safe] = []
    for label, true, y in zip(labels, wanted, spread(wanted, LINE, top, top + height), strict=True):
        parts.append(el("polyline", points=f"{edge + 2:g},{true:.2f} {edge + 12:g},{y:.2f}", class_="leader"))
        parts.append(text(edge + 15, y + 4, label.text, kind=f"end {label.kind}"))
    return join(parts)


def margin_for(labels: Iterable[str]) -> float:
    """The right margin that end labels of these words need."""
    return 20 + LETTER * max((len(words) for words in labels), default=0)
