"""Figures as drawings: coordinates for the SVG in the templates. Colours and words are not made here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rejoinder.clients.rollouts import TrailPoint

#: Of the drawing, in its own units; room for the axes' words.
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720.0, 240.0, 56.0, 26.0, 10.0
_LEAST = 0.05


@dataclass(frozen=True)
class Tick:
    y: float
    value: float


@dataclass(frozen=True)
class Drawing:
    """band, line: points of a polygon and a polyline. zero: height of no difference. last: where the line ends."""

    band: str
    line: str
    zero: float
    ticks: tuple[Tick, ...]
    last: tuple[float, float]
    low: float
    high: float


def interval_over_time(points: Sequence[TrailPoint]) -> Drawing | None:
    """The difference and its interval by time; None where there is nothing to draw. One point is as wide as all."""
    if not points:
        return None
    began, ended = points[0].at or 0.0, points[-1].at or 0.0
    most = max(_LEAST, *(min(1.0, max(abs(p.low), abs(p.high))) for p in points))
    step = _step(most)
    most = step * math.ceil(most / step - 1e-9)

    def x(point: TrailPoint) -> float:
        part = ((point.at or 0.0) - began) / (ended - began) if ended > began else 1.0
        return LEFT + part * (WIDTH - LEFT)

    def y(value: float) -> float:
        return TOP + (most - max(-most, min(most, value))) / (2 * most) * (HEIGHT - TOP - BOTTOM)

    upper = [(x(p), y(p.high)) for p in points]
    lower = [(x(p), y(p.low)) for p in points]
    middle = [(x(p), y(p.difference)) for p in points]
    if len(points) == 1 or ended <= began:
        upper, lower, middle = ([(LEFT, each[-1][1]), *each[-1:]] for each in (upper, lower, middle))
    ticks = tuple(Tick(_round(y(n * step)), n * step) for n in range(-round(most / step), round(most / step) + 1))
    return Drawing(_told([*upper, *reversed(lower)]), _told(middle), _round(y(0.0)), ticks, middle[-1], began, ended)


def _step(most: float) -> float:
    return next((step for step in (0.025, 0.05, 0.1, 0.25) if most / step <= 4), 0.5)


def _told(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_round(x)},{_round(y)}" for x, y in places)


def _round(value: float) -> float:
    return round(value, 2)
