"""Plots under each other over one x axis, so that nothing has two scales."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rejoinder.plots.markup import Child, Safe
from rejoinder.plots.numerals import percent
from rejoinder.plots.plot import (
    EndLabel,
    Frame,
    Scale,
    Series,
    axes,
    banded_line,
    end_labels,
    margin_for,
    marks,
    svg,
    text,
)

SIZE = (420.0, 340.0)
_LEFT, _TOP, _FOOT = 44.0, 30.0, 42.0


@dataclass(frozen=True)
class Panel:
    """One plot of a stack. span: its y axis. tick, told: how a value is written at the axis and beside the line.

    empty: what is said where no series has a point. named: whether the end of a line says whose it is.
    """

    series: Sequence[Series]
    span: tuple[float, float]
    title: str
    tick: Callable[[float], str]
    told: Callable[[float], str]
    empty: str = ""
    named: bool = True


def stack(
    key: str,
    title: str,
    panels: Sequence[Panel],
    x: tuple[float, float],
    x_ticks: Sequence[tuple[float, str]],
    x_title: str,
    size: tuple[float, float] = SIZE,
) -> Safe:
    """key: unique on the page. x: the common axis."""
    width, height = size
    ends = [_ends(panel) for panel in panels]
    right = width - margin_for(end.text for row in ends for end in row)
    each = (height - _FOOT) / len(panels)
    parts: list[Child] = []
    for i, (panel, labels) in enumerate(zip(panels, ends, strict=True)):
        last = i == len(panels) - 1
        floor = (i + 1) * each - (0 if last else 8)
        frame = Frame(Scale(*x, _LEFT, right), Scale(*panel.span, floor, i * each + _TOP))
        drawn = any(s.points for s in panel.series)
        y_ticks = [(t, panel.tick(t)) for t in frame.y.ticks(4)] if drawn else ()
        parts.append(
            axes(frame, x_ticks if last else (), y_ticks, y_title=panel.title, x_title=x_title if last else "")
        )
        if not drawn:
            parts.append(text(_LEFT, i * each + _TOP + 16, panel.empty))
        parts += [[banded_line(frame, s), marks(frame, s)] for s in panel.series]
        parts.append(end_labels(frame, labels))
    told = " ".join(
        told_of(panel.series, panel.told) or (panel.empty and f"{panel.title}: {panel.empty}.") for panel in panels
    )
    return svg(key, size, title, told, *parts)


def _ends(panel: Panel) -> Sequence[EndLabel]:
    """A lone line needs no name: the panel's title has it."""
    named = panel.named and len(panel.series) > 1
    found = [end_label(s, f"{s.label} " if named else "", panel.told) for s in panel.series]
    return [end for end in found if end]


def end_label(series: Series, words: str, told: Callable[[float], str] = percent) -> EndLabel | None:
    """What the last point that counts came to."""
    on = [p for p in series.points if not p.hollow] or series.points
    return EndLabel(on[-1].y, f"{words}{told(on[-1].y)}", series.kind) if on else None


def told_of(series: Iterable[Series], told: Callable[[float], str]) -> str:
    lines = [f"{s.label}: {', '.join(told(p.y) for p in s.points)}." for s in series if s.points]
    return " ".join(lines)
