"""What every section is built of: a figure with its table, a number that keeps its exact value, what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.plots.document import table
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import ABSENT, general, number, percent

Item = Mapping[str, Any]
#: Colours of what is drawn beside each other; every second mark is a square, so that colour is not alone.
COLOURS = ("s1", "s2", "s3", "s4")
#: Rows that a table shows without being asked.
UNFOLDED = 24
SIGNS = {"pass": ("✓", "good"), "fail": ("✗", "bad"), "unmeasured": ("○", "quiet")}


def colour(place: int) -> tuple[str, bool]:
    """The class of the series at this place, and whether its mark is a square."""
    return COLOURS[place % len(COLOURS)], place % 2 == 1


def exact(value: Any, words: str | None = None) -> Safe | str:
    """A number as `words`, with the value itself for programs that read the page."""
    found = number(value)
    if found is None:
        return ABSENT
    return el("data", general(found) if words is None else words, value=repr(value))


def share(value: Any) -> Safe | str:
    return exact(value, percent(value))


def estimate(figure: Item | None, *, unit: float = 1.0) -> Child:
    """value [low, high], written in `unit` times them (100: percent); a dash where there is none."""
    if not figure or number(figure.get("value")) is None:
        return ABSENT
    value, low, high = (figure.get(name) for name in ("value", "low", "high"))

    def told(end: Any) -> Child:
        return exact(end, general(unit * end) if number(end) is not None else None)

    if number(low) is None or number(high) is None:
        return told(value)
    return join([told(value), " [", told(low), ",\N{NO-BREAK SPACE}", told(high), "]"])


def outcome(words: str) -> Safe:
    sign, kind = SIGNS.get(words, ("○", "quiet"))
    return el("span", f"{sign} {words}", class_=kind)


def figure(picture: Child, *notes: Child, title: str = "", broad: bool = False) -> Safe:
    """broad: over the whole width, the notes beside the picture where there is room."""
    head = el("h3", title) if title else None
    caption = el("figcaption", [el("div", note) if broad else note for note in notes if note])
    drawn = el("div", picture, class_="drawn") if broad else picture
    return el("figure", head, drawn, caption if any(notes) else None, class_="broad" if broad else None)


def command(words: str) -> Safe:
    return el("code", words)


def tabled(name: str, columns: Sequence[str], rows: Sequence[Sequence[Child]], most: int = UNFOLDED) -> Safe:
    """A table, folded where it has more rows than `most`."""
    whole = table(name, columns, rows)
    if len(rows) <= most:
        return whole
    return el("details", el("summary", f"{name} as a table, {len(rows)} rows"), whole)


def beside(*content: Child) -> Safe:
    """Figures beside each other, where there is room."""
    return el("div", content, class_="grid pair even")


def key(names: Sequence[str]) -> Safe:
    """Which colour and mark is whose."""
    return el("ul", [el("li", _swatch(i), " ", name) for i, name in enumerate(names)], class_="key")


def _swatch(place: int) -> Safe:
    kind, square = colour(place)
    mark = (
        el("rect", x=1.0, y=1.0, width=8.0, height=8.0, class_=f"mark {kind}")
        if square
        else el("circle", cx=5.0, cy=5.0, r=4.0, class_=f"mark {kind}")
    )
    return el("svg", mark, viewBox="0 0 10 10", aria_hidden="true", xmlns="http://www.w3.org/2000/svg")


def missing(words: str, made_by: str = "", rest: str = "", *, by: str = " Made by ") -> Safe:
    """What is not there, and the command that makes it."""
    return el("p", words, [by, command(made_by)] if made_by else None, rest, class_="missing")
