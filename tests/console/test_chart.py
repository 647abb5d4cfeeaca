"""console/chart: the drawing says what the figures say."""

from __future__ import annotations

from rejoinder.clients.rollouts import TrailPoint
from rejoinder.console.chart import HEIGHT, LEFT, WIDTH, interval_over_time


def point(at: float, low: float, difference: float, high: float) -> TrailPoint:
    return TrailPoint(at=at, low=low, difference=difference, high=high)


def places(text: str) -> list[tuple[float, float]]:
    return [tuple(map(float, each.split(","))) for each in text.split()]  # type: ignore[misc]


def test_a_narrowing_interval_narrows_and_the_line_lies_in_the_band() -> None:
    drawn = interval_over_time([point(0, -0.4, 0.1, 0.5), point(10, -0.1, 0.0, 0.1), point(20, -0.05, 0.01, 0.06)])
    assert drawn is not None
    line, band = places(drawn.line), places(drawn.band)
    upper, lower = band[:3], band[:2:-1]
    assert [x for x, _ in line] == [LEFT, (LEFT + WIDTH) / 2, WIDTH]
    assert all(up[1] <= at[1] <= down[1] for up, at, down in zip(upper, line, lower, strict=True))
    assert lower[0][1] - upper[0][1] > 5 * (lower[2][1] - upper[2][1])
    assert line[1][1] == drawn.zero
    assert (drawn.ticks[0].value, drawn.ticks[-1].value) == (-0.5, 0.5)


def test_one_look_is_drawn_and_none_is_not() -> None:
    assert interval_over_time([]) is None
    drawn = interval_over_time([point(5, -1.0, 0.0, 1.0)])
    assert drawn is not None
    assert [x for x, _ in places(drawn.line)] == [LEFT, WIDTH]


def test_an_interval_beyond_everything_stays_in_the_picture() -> None:
    drawn = interval_over_time([point(0, -9.0, 0.0, 9.0), point(1, -0.2, 0.0, 0.2)])
    assert drawn is not None
    assert all(0 <= y <= HEIGHT for _, y in places(drawn.band))
