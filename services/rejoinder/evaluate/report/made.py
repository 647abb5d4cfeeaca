"""Pairs by builder, and what was dropped by cause."""

from __future__ import annotations

from collections.abc import Sequence

from rejoinder.evaluate.report.parts import Item, exact, figure, missing, tabled
from rejoinder.plots.forest import Estimated, Line, forest
from rejoinder.plots.markup import Child, join
from rejoinder.plots.numerals import count

#: Causes that a plot shows; the table has all.
DRAWN = 14
_LEFT_OUT = "left out: "


def made(report: Item) -> Child:
    rows = [row for row in report["rounds"] if row["pairs"]]
    if not rows:
        return missing("No round has built pairs yet.", "rejoinder round plan", " says what one would build.", by=" ")
    builders = list(dict.fromkeys(name for row in rows for name in row["pairs"]["builders"]))
    pictures = [_picture(i, name, rows) for i, name in enumerate(builders)]
    return join(
        [
            pictures,
            _table(builders, rows),
            _sides(rows),
        ]
    )


def _counts(builder: str, row: Item) -> dict[str, int]:
    """What became of the evidence that one builder looked at: built, then dropped or left out by cause."""
    found = row["pairs"]["builders"].get(builder) or {}
    left = {f"{_LEFT_OUT}{cause}": n for cause, n in found.get("left_out", {}).items()}
    dropped = dict(sorted(found.get("dropped", {}).items(), key=lambda item: (-item[1], item[0])))
    return {"built": found.get("built", 0), **dropped, **left}


def _picture(place: int, builder: str, rows: Sequence[Item]) -> Child:
    last, before = rows[-1], rows[-2] if len(rows) > 1 else None
    now, then = _counts(builder, last), _counts(builder, before) if before else {}
    lines = []
    for cause in list(dict.fromkeys([*now, *then]))[:DRAWN]:
        value = now.get(cause, 0)
        note = f"round {last['number']}: {count(value)}"
        shown = [Estimated(value, kind="s3" if cause == "built" else "s1", note=note)]
        if before:
            earlier = then.get(cause, 0)
            shown.append(Estimated(earlier, kind="s2", note=f"round {before['number']}: {count(earlier)}", hollow=True))
        lines.append(Line(cause.replace("_", " "), shown, count(value)))
    note = f"What became of the evidence that the builder looked at. Bars: round {last['number']}." + (
        f" Rings: round {before['number']}." if before else ""
    )
    picture = forest(f"pairs-{place}", f"Pairs of {builder}: built, and dropped by cause", lines, "pairs", bars=True)
    return figure(picture, note, title=builder, broad=True)


def _table(builders: Sequence[str], rows: Sequence[Item]) -> Child:
    columns = ("builder", "what became of it", *(f"round {row['number']}" for row in rows))
    lines = []
    for builder in builders:
        found = [_counts(builder, row) for row in rows]
        for cause in dict.fromkeys(name for each in found for name in each):
            counts = [exact(each.get(cause, 0), count(each.get(cause, 0))) for each in found]
            whole = cause == "built" or cause.startswith(_LEFT_OUT)
            lines.append((builder, cause if whole else f"dropped: {cause}", *counts))
    return tabled("Pairs by builder, drops by cause", columns, lines)


def _sides(rows: Sequence[Item]) -> Child:
    """Where the built pairs went, and what else was counted of them and of their window."""
    told: dict[str, dict[int, int]] = {}

    def tell(name: str, row: Item, value: int) -> None:
        told.setdefault(name, {})[row["number"]] = value

    for row in rows:
        pairs = row["pairs"]
        for side, value in pairs["sides"].items():
            tell(f"side: {side}", row, value)
        for kind in ("crossing", "consensus", "charter"):
            for name, value in pairs.get(kind, {}).items():
                tell(f"{kind}: {name}", row, value)
        for name, value in pairs["other"].items():
            tell(name, row, value)
        for name, value in pairs["window"].items():
            tell(f"window: {name}", row, value)
        for name, value in pairs.get("reason", {}).items():
            tell(f"reason: {name}", row, value)
    columns = ("what", *(f"round {row['number']}" for row in rows))
    lines = [
        (name, *(exact(found.get(row["number"], 0), count(found.get(row["number"], 0))) for row in rows))
        for name, found in told.items()
    ]
    return tabled("Sides of the split, reasons of the pairs, counts of the window", columns, lines, most=0)
