"""Rows of estimates: everything lies inside the picture, in its order, and is said in words."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from rejoinder.plots.forest import Estimated, Line, Mark, forest

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: Line, **more: object) -> ElementTree.Element:
    return ElementTree.fromstring(forest("k", "Title", lines, "points", **more))


def numbers(root: ElementTree.Element, *names: str) -> list[float]:
    return [float(e.get(name)) for e in root.iter() for name in names if e.get(name)]


@pytest.mark.parametrize("value", [0.0, 1e-9, -3.5, 1e12])
@pytest.mark.parametrize("bars", [False, True])
def test_every_mark_lies_inside_the_picture(value: float, bars: bool) -> None:
    root = drawn(
        Line("a name that is far longer than a picture is wide, and longer", [Estimated(value)], "✓ pass"),
        Line("b", [Estimated(0.1, -0.2, 0.4), Estimated(0.2, hollow=True)]),
        Line("c", (), absent="unmeasured"),
        mark=Mark(0.3, "bound", -1),
        bars=bars,
    )
    width, height = map(float, root.get("viewBox").split()[2:])
    assert all(0 <= x <= width for x in numbers(root, "x", "cx", "x1", "x2"))
    assert all(0 <= y <= height for y in numbers(root, "y", "cy", "y1", "y2"))


def test_what_lies_further_right_is_larger_and_the_allowed_side_is_shaded() -> None:
    root = drawn(Line("low", [Estimated(1.0)]), Line("high", [Estimated(2.0)]), mark=Mark(1.5, "bound", 1))
    low, high = (float(circle.get("cx")) for circle in root.iter(f"{SVG}circle"))
    (shade,) = (rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "allowed")
    assert low < float(shade.get("x")) < high < float(shade.get("x")) + float(shade.get("width"))
    assert root.find(f"{SVG}desc").text == "points. low: 1. high: 2. Upright: bound."
