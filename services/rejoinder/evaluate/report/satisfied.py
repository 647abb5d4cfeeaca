"""How satisfied people are with each version, over time, and what dissatisfies them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rejoinder.evaluate.report.parts import Item, beside, colour, command, exact, figure, key, missing, share, tabled
from rejoinder.plots.forest import Estimated, Line, forest
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import ABSENT, Estimate, count, percent, percent_interval
from rejoinder.plots.panels import Panel, stack
from rejoinder.plots.plot import Point, Series

#: Versions that a plot shows below each other, the latest; and of these that one over time or of reasons compares.
DRAWN, COMPARED = 12, 4
_NAMELESS = "(no version)"


def satisfied(report: Item) -> Child:
    found = report["satisfaction"]["versions"]
    judged = [version for version in found if version["whole"]["users"]]
    if not found:
        return missing("The ledger holds no answer.", "rejoinder import FILE", ".")
    if not judged:
        return join(
            [
                missing("No answer was judged: nobody replied, or no reply was read.", "rejoinder import FILE", "."),
                _table(found),
            ]
        )
    drawn = judged[-DRAWN:]
    return join([beside(_by_version(drawn), _over_time(_compared(drawn))), _table(found), _steps(found)])


def _compared(versions: Sequence[Item]) -> Sequence[Item]:
    """The most judged ones, in their order."""
    most = sorted(versions, key=lambda version: -version["whole"]["users"])[:COMPARED]
    return [version for version in versions if version in most]


def name_of(version: Item) -> str:
    return version["whole"]["group"] or _NAMELESS


def _by_version(versions: Sequence[Item]) -> Safe:
    lines = []
    for version in versions:
        row = version["whole"]
        note = f"{name_of(version)}: {percent_interval(_estimate(row))}, {count(row['users'])} users"
        lines.append(
            Line(name_of(version), [Estimated(row["satisfaction"], row["low"], row["high"], "s1", note)], _n(row))
        )
    picture = forest("satisfaction", "Satisfaction by version", lines, "satisfied, %, mean over users", unit=100)
    caption = (
        "In the order in which they first answered. Silence is no label: where fewer reply, the satisfaction of those "
        "who do says less; see the reply rates below. Versions that answered one after the other are no experiment: ",
        command("rejoinder rollout"),
        " makes one.",
    )
    return figure(picture, caption, title="By version")


def _n(row: Item) -> str:
    return f"n {count(row['users'])}"


def _estimate(row: Item) -> Estimate:
    return Estimate(row["satisfaction"], row["low"], row["high"])


def _over_time(versions: Sequence[Item]) -> Safe:
    step = versions[0]["step_s"]
    series = []
    for place, version in enumerate(versions):
        kind, square = colour(place)
        rows = [row for row in version["over_time"] if row["users"]]
        points = [
            Point(
                _seconds(row["group"]) + step / 2,
                row["satisfaction"],
                row["low"],
                row["high"],
                f"{name_of(version)}, from {row['group']}: {percent_interval(_estimate(row))}, {_n(row)}",
            )
            for row in rows
        ]
        series.append(Series(name_of(version), kind, points, "square" if square else "circle"))
    moments = sorted({point.x for one in series for point in one.points})
    pad = step * 0.75
    panel = Panel(series, (0.0, 1.0), "satisfied, %", lambda t: f"{100 * t:.0f}", percent, named=False)
    span = (moments[0] - pad, moments[-1] + pad)
    size = (420.0, 300.0)
    picture = stack("over-time", "Satisfaction over time", [panel], span, _ticks(moments, step), "UTC", size)
    more = f" The {COMPARED} most judged of these versions." if len(versions) == COMPARED else ""
    note = f"Each point is one step of {_step(step)}, with its 95 % interval.{more}"
    return figure([picture, key([name_of(v) for v in versions])], note, title="Over time")


def _seconds(iso: str) -> float:
    return datetime.strptime(iso, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC).timestamp()


def _ticks(moments: Sequence[float], step: float) -> Sequence[tuple[float, str]]:
    form = "%H:%M" if moments[-1] - moments[0] < 86_400 and step < 86_400 else "%m-%d"
    form = "%Y-%m" if moments[-1] - moments[0] > 300 * 86_400 else form
    every = max(1, -(-len(moments) // 4))
    return [(at, datetime.fromtimestamp(at - step / 2, UTC).strftime(form)) for at in moments[::every]]


def _step(step: float) -> str:
    for seconds, words in ((604_800, "week"), (86_400, "day"), (3_600, "hour"), (60, "minute")):
        if step >= seconds:
            times = int(step // seconds)
            return f"a {words}" if times == 1 and words != "hour" else f"{times} {words}{'s' if times > 1 else ''}"
    return f"{step:g} s"


def _table(versions: Sequence[Item]) -> Safe:
    columns = ("version", "satisfied", "95 %", "users", "answers", "replied", "reply rate", "SAT", "DSAT", "no verdict")
    return tabled("Satisfaction by version", columns, [_row(el("code", name_of(v)), v["whole"]) for v in versions])


def _row(first: Child, row: Item) -> Sequence[Child]:
    known = row["users"] > 0
    between = (
        join([share(row["low"]), "\N{NO-BREAK SPACE}–\N{NO-BREAK SPACE}", share(row["high"])]) if known else ABSENT
    )
    rate = row["replied"] / row["interactions"] if row["interactions"] else None
    counts = [exact(row[n], count(row[n])) for n in ("sat", "dsat", "none")]
    return (
        first,
        share(row["satisfaction"]) if known else ABSENT,
        between,
        *(exact(row[n], count(row[n])) for n in ("users", "interactions", "replied")),
        share(rate),
        *counts,
    )


def _steps(versions: Sequence[Item]) -> Safe:
    """Every point of the plot over time, and those that it leaves out."""
    columns = ("version", "from", "satisfied", "95 %", "users", "answers", "replied", "reply rate", "SAT", "DSAT")
    rows = [(el("code", name_of(v)), *_row(row["group"], row)[:-1]) for v in versions for row in v["over_time"]]
    return tabled("Satisfaction over time", columns, rows, most=0)


def reasons(report: Item) -> Child:
    versions = [v for v in report["satisfaction"]["versions"] if v["whole"]["dsat"]]
    if not versions:
        return missing("No answer was read as dissatisfying.", "rejoinder import FILE", ".")
    total = {name: sum(v["reasons"].get(name, 0) for v in versions) for v in versions for name in v["reasons"]}
    names = sorted(total, key=lambda name: (-total[name], name))
    if not names:
        return missing("No reason was read in what dissatisfied users said.")
    drawn = _compared(versions[-DRAWN:])
    lines = []
    for name in names[:12]:
        shares = []
        for place, version in enumerate(drawn):
            value = version["reasons"].get(name, 0) / version["whole"]["dsat"]
            kind, square = colour(place)
            note = f"{name_of(version)}: {percent(value)} of {count(version['whole']['dsat'])}"
            shares.append(Estimated(value, kind=kind, note=note, square=square))
        lines.append(Line(name, shares))
    picture = forest("reasons", "Reasons of dissatisfaction", lines, "% of dissatisfied answers", zero=True, unit=100)
    note = "An answer may have several reasons or none. Shares of answers, not of users; no interval is reckoned."
    versions = versions[-DRAWN:]
    columns = ("reason", *(name_of(v) for v in versions))
    rows = [
        (name, *(exact(v["reasons"].get(name, 0), count(v["reasons"].get(name, 0))) for v in versions))
        for name in names
    ]
    rows.append(("dissatisfied answers", *(exact(v["whole"]["dsat"], count(v["whole"]["dsat"])) for v in versions)))
    drawn_of = key([name_of(v) for v in drawn])
    return join([figure(picture, drawn_of, note, broad=True), tabled("Answers by reason", columns, rows)])
