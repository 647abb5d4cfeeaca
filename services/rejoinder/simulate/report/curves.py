"""Chart 1: both curves of satisfaction over the rounds, against what could be reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.plots.markup import Safe, el
from rejoinder.plots.numerals import Estimate, number, percent
from rejoinder.plots.panels import end_label, told_of
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
    rule,
    svg,
)
from rejoinder.simulate.report.series import Rows, estimates, last_round, round_ticks

_LEFT, _TOP, _FOOT = 44.0, 30.0, 42.0
#: name in the JSON, label on a wide screen, on a narrow one.
_CEILINGS = (
    ("per_user", "per-user optimum", "optimum"),
    ("by_kind", "best style by kind", "by kind"),
    ("constant", "best constant style", "constant"),
)


def satisfaction(result: Mapping[str, Any]) -> Safe:
    """Chart 1, drawn for a wide and for a narrow screen; style.py shows the one that fits."""
    rows, ceilings = result.get("rounds") or (), result.get("ceilings") or {}
    curves = [
        Series("first answer", "s1", estimates(rows, "first_answer", "first answer")),
        Series("after a wish", "s2", estimates(rows, "after_wish", "after a wish"), mark="square"),
    ]
    style = f" Best constant style: {words}." if (words := ceilings.get("constant_style")) else ""
    note = (
        "Mean satisfaction of the same simulated people after every round, with 95 % intervals. The claim is on the "
        "first answer: what a fresh user gets. Hollow: measured, but not promoted." + style
    )
    return el(
        "figure",
        el("div", _curves("curves-wide", (940.0, 400.0), rows, ceilings, curves, narrow=False), class_="wide"),
        el("div", _curves("curves-narrow", (360.0, 330.0), rows, ceilings, curves, narrow=True), class_="narrow"),
        el("figcaption", note),
    )


def _curves(
    key: str,
    size: tuple[float, float],
    rows: Rows,
    ceilings: Mapping[str, Any],
    curves: Sequence[Series],
    *,
    narrow: bool,
) -> Safe:
    lines = [(number(ceilings.get(name)), short if narrow else long) for name, long, short in _CEILINGS]
    lines.append((_untrained(rows), "untrained"))
    references = [EndLabel(value, f"{words} {percent(value)}", "ref") for value, words in lines if value is not None]
    ends = [end_label(series, "first " if narrow and series.kind == "s1" else f"{series.label} ") for series in curves]
    labels = [*(end for end in ends if end), *references]
    right = size[0] - margin_for(label.text for label in labels)
    x = Scale(-0.12, max(last_round(rows), 1) + 0.12, _LEFT, right)
    frame = Frame(x, Scale(0.0, 1.0, size[1] - _FOOT, _TOP))
    return svg(
        key,
        size,
        "Satisfaction by round",
        told_of(curves, percent) + " Dashed: " + ", ".join(label.text for label in references) + ".",
        axes(
            frame,
            round_ticks(rows),
            [(t, f"{100 * t:.0f}") for t in frame.y.ticks(5)],
            y_title="satisfied, %",
            x_title="round",
        ),
        [rule(frame, label.y, "reference") for label in references],
        [banded_line(frame, series) for series in curves],
        [marks(frame, series) for series in curves],
        end_labels(frame, labels),
    )


def _untrained(rows: Rows) -> float | None:
    found = [e.value for row in rows if row.get("round") == 0 and (e := Estimate.of(row.get("first_answer")))]
    return found[0] if found else None
