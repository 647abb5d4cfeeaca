"""Whether the reader of follow-ups is right as often as it says, on labels that a person gave."""

from __future__ import annotations

from rejoinder.evaluate.report.parts import Item, command, estimate, exact, figure, missing, share
from rejoinder.plots.document import table
from rejoinder.plots.markup import Child, el
from rejoinder.plots.numerals import count, general, percent
from rejoinder.plots.plot import Frame, Point, Scale, Series, axes, marks, svg


def calibrated(report: Item) -> Child:
    found = report["calibration"]
    if found is None:
        return missing(
            "No labels were given: a sheet for a person to fill in is made by",
            "rejoinder signals audit --sample 300 --sheet audit.csv",
            ", and read here with --audit audit.csv.",
            by=" ",
        )
    bins = found["bins"]
    frame = Frame(Scale(0.0, 1.0, 44.0, 400.0), Scale(0.0, 1.0, 346.0, 30.0))
    note_of = "said {}, right {}, n {}".format
    points = [
        Point(b["said"], b["value"], b["low"], b["high"], note_of(percent(b["said"]), percent(b["value"]), b["n"]))
        for b in bins
    ]
    ticks = [(t, general(100 * t)) for t in frame.x.ticks(5)]
    told = " ".join(f"Said {percent(b['said'])}: right {percent(b['value'])}." for b in bins)
    picture = svg(
        "reliability",
        (420.0, 390.0),
        "Confidence of the reader against how often it is right",
        told,
        axes(frame, ticks, ticks, y_title="right, %", x_title="said, %"),
        el("line", x1=44.0, y1=346.0, x2=400.0, y2=30.0, class_="reference"),
        marks(frame, Series("reader", "s1", points)),
    )
    figures = found["figures"]
    rows = [(name, estimate(value)) for name, value in figures.items()]
    rows.append(("a calibrated reader's ECE stays under", exact(found["ece_null_95"])))
    rows.append(("labels", exact(found["labels"], count(found["labels"]))))
    columns = ("said", "right", "95 %", "labels")
    lines = [
        (
            share(b["said"]),
            share(b["value"]),
            [share(b["low"]), "\N{NO-BREAK SPACE}–\N{NO-BREAK SPACE}", share(b["high"])],
            exact(b["n"]),
        )
        for b in bins
    ]
    note = (
        f"{found['version']}, on labels of {found['sheet']}, weighted to the traffic. On the dashed line confidence "
        "means what it says; below it the reader is too sure, which ",
        command("rejoinder signals audit --out FILE"),
        " mends where the labels suffice.",
    )
    tables = [table("Bins", columns, lines), table("Of the whole traffic", ("figure", "value [95 %]"), rows)]
    return el("div", figure(picture, note), el("div", tables, class_="stacked"), class_="grid pair even")
