"""Reports of other commands, drawn: ranking accuracy, preferred factors, probes of a judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rejoinder.evaluate.report.parts import Item, beside, colour, estimate, exact, figure, key, missing
from rejoinder.plots.document import table
from rejoinder.plots.forest import Estimated, Line, Mark, forest
from rejoinder.plots.markup import Child, Safe, el, join
from rejoinder.plots.numerals import ABSENT, count, general

_HOW = {"summed": "summed", "per_token": "a token", "all": "all", "length_matched": "equal length"}


def judged(report: Item) -> Child:
    """One part for each file, in the order given."""
    parts = [
        join([el("h3", f"{found['file']}: {found['kind']}"), DRAWN[found["kind"]](f"measure-{i}", found)])
        for i, found in enumerate(report["measures"])
    ]
    if not parts:
        return missing(
            "None was given. Each is a file that",
            "rejoinder evaluate ranking|factors|probes … --json > FILE",
            " writes, named on this command's line.",
            by=" ",
        )
    return join(parts)


def _estimated(figure_: Item | None, place: int, name: str, hollow: bool = False) -> Sequence[Estimated]:
    if not figure_:
        return ()
    kind, square = colour(place)
    note = f"{name}: {general(figure_['value'])}"
    return [Estimated(figure_["value"], figure_["low"], figure_["high"], kind, note, hollow, square)]


def _slice_name(slice_: Item) -> str:
    return f"{_HOW[slice_['how']]}, {_HOW[slice_['part']]}"


def _ranking(name: str, found: Item) -> Safe:
    shown = ("before", "after", "longer_wins")
    lines = [
        Line(
            _slice_name(s),
            [e for i, part in enumerate(shown) for e in _estimated(s[part], i, part, not s["measured"])],
            f"n {count(s['n'])}",
            absent="no pair",
        )
        for s in found["slices"]
    ]
    picture = forest(f"{name}-a", "Ranking accuracy", lines, "pairs ranked right, %", mark=_coin(), unit=100)
    few = "" if all(s["measured"] for s in found["slices"]) else " Hollow: too few pairs to say."
    best = found["idealised"]
    below = None
    if best:
        figures = [(part, estimate(best[part])) for part in ("before", "after", "idealised", "gap")]
        below = table(f"What the objective could reach, by {best['shares_from']}", ("figure", "value [95 %]"), figures)
    hard = [
        (exact(part["n"]), *(exact(part[n]) for n in ("hardest", "before", "after"))) for part in found["by_difficulty"]
    ]
    flips = [(part.replace("_", " "), estimate(value)) for part, value in found["flips"].items()]
    return join(
        [
            figure(picture, key([part.replace("_", " ") for part in shown]), f"Upright: a coin.{few}", broad=True),
            _slices_table(found["slices"]),
            beside(
                table("By difficulty", ("pairs", "hardest, nats", "before", "after"), hard),
                table("Pairs that turned", ("way", "share [95 %]"), flips),
            ),
            below,
        ]
    )


def _coin() -> Mark:
    return Mark(0.5, "a coin")


def _slices_table(slices: Sequence[Item]) -> Safe:
    columns = ("log p", "pairs", "n", "before", "after", "gain", "longer wins")
    rows = [
        (_HOW[s["how"]], _HOW[s["part"]], exact(s["n"], count(s["n"])), *(estimate(s[part]) for part in _PARTS))
        for s in slices
    ]
    return table("Ranking accuracy [95 %]", columns, rows)


_PARTS = ("before", "after", "gain", "longer_wins")


def _arms(name: str, found: Item) -> Safe:
    """Only pairs of all lengths, a token, are drawn; the table has the rest."""
    lines = []
    for arm, slices in found["arms"].items():
        s = next(s for s in slices if (s["how"], s["part"]) == ("per_token", "all"))
        shown = [e for i, part in enumerate(("before", "after")) for e in _estimated(s[part], i, part)]
        lines.append(Line(arm, shown, f"n {count(s['n'])}", absent="no pair"))
    picture = forest(
        f"{name}-a", "Ranking accuracy by arm", lines, "pairs ranked right a token, %", mark=_coin(), unit=100
    )
    columns = ("trained", "log p", "pairs", "n", *(part.replace("_", " ") for part in _PARTS))
    rows = [
        (arm, _HOW[s["how"]], _HOW[s["part"]], exact(s["n"]), *(estimate(s[part]) for part in _PARTS))
        for arm, slices in found["arms"].items()
        for s in slices
    ]
    note = f"Trained on {count(found['trained_on'])} pairs, measured on {count(found['measured_on'])}. Upright: a coin."
    return join(
        [figure(picture, key(("before", "after")), note, broad=True), table("Ranking accuracy [95 %]", columns, rows)]
    )


def _factors(name: str, found: Item) -> Safe:
    scores = found["scores"]
    if not scores:
        return missing("It holds no pair on which everybody chose.")
    factors = list(next(iter(scores.values())))

    def shown(factor: str) -> Sequence[Estimated]:
        return [
            e
            for i, who in enumerate(scores)
            for e in _estimated(_told(scores[who].get(factor)), i, who, not found["measured"])
        ]

    picture = forest(
        f"{name}-a",
        "What is preferred, factor by factor",
        [Line(f, shown(f), absent="differs in no pair") for f in factors],
        "tau-b with the choice",
        mark=Mark(0.0, "no preference", kind="zero"),
    )
    counts = f"{count(found['n'])} pairs of {count(found['users'])} users, {count(found['left_out'])} left out."
    few = "" if found["measured"] else " Hollow: too few pairs or users; no gap is judged."
    rows = [(f, *(estimate(_told(scores[who].get(f))) for who in scores)) for f in factors]
    gaps = [_gap(f"{name}-g{i}", gap) for i, gap in enumerate(found["gaps"])]
    scored = figure(picture, key(list(scores)), counts + few, broad=True)
    return join([scored, table("Preferred, tau-b [95 %]", ("factor", *scores), rows), gaps])


def _told(figure_: Item | None) -> Item | None:
    return figure_ if figure_ and figure_["value"] is not None else None


def _gap(name: str, gap: Item) -> Safe:
    title = f"{gap['of']} less {gap['less']}"
    lines = [
        Line(
            factor,
            [
                Estimated(f["value"], f["low"], f["high"], "s2" if f["alarm"] else "s1", factor, square=f["alarm"])
                for f in [_told(told)]
                if f
            ],
            "✗ alarm" if told["alarm"] else "",
            "bad" if told["alarm"] else "label",
            "differs in no pair",
        )
        for factor, told in gap["factors"].items()
    ]
    mark = Mark(0.0, "no gap", kind="zero")
    picture = forest(f"{name}", f"Gaps: {title}", lines, "gap of tau-b, all within 99 %", mark=mark)
    rows = [(f, estimate(_told(told)), "alarm" if told["alarm"] else ABSENT) for f, told in gap["factors"].items()]
    agreed = join(["Ranks of the factors agree ", estimate(gap["alignment"]), "."])
    return beside(figure(picture, agreed), table(f"{title} [all within 99 %]", ("factor", "gap", "alarm"), rows))


def _probes(name: str, found: Item) -> Safe:
    probes: Mapping[str, Any] = found["probes"]
    if not probes:
        return missing(f"It holds no pair with a verdict ({count(found['unanswered'])} unanswered).")
    lines = [
        Line(
            probe.replace("_", " "),
            [
                Estimated(f["value"], f["low"], f["high"], "s2" if row["alarm"] else "s1", probe, square=row["alarm"])
                for f in [row["bias"]]
                if f
            ],
            "✗ alarm" if row["alarm"] else "",
            "bad" if row["alarm"] else "label",
            "unmeasured",
        )
        for probe, row in probes.items()
    ]
    mark = Mark(0.0, "no bias", kind="zero")
    picture = forest(
        f"{name}-a", "What moves the judge", lines, "bias: net verdicts turned wrong, %", mark=mark, unit=100
    )
    left_out = f"{count(found['ties'])} ties and {count(found['unanswered'])} without a verdict left out"
    orders = ", order averaged" if found["both_orders"] else ""
    before = join([" Right before: ", estimate(found["before"], unit=100), " %."])
    counts = f"{count(found['n'])} pairs of {count(found['users'])} users; {left_out}{orders}."
    columns = ("probe", "right after", "unmoved", "bias", "beyond plain", "turned wrong", "turned right", "p", "alarm")
    rows = [
        (
            probe,
            *(estimate(row[part]) for part in ("after", "robustness", "bias", "beyond_plain")),
            *(exact(row[part]) for part in ("turned_wrong", "turned_right", "p")),
            "alarm" if row["alarm"] else ABSENT,
        )
        for probe, row in probes.items()
    ]
    return join([figure(picture, counts, before, broad=True), table("Probes [95 %]", columns, rows)])


#: A kind of kinds.KINDS → how it is drawn; the first argument is unique on the page.
DRAWN: Mapping[str, Callable[[str, Item], Safe]] = {
    "ranking": _ranking,
    "arms": _arms,
    "factors": _factors,
    "probes": _probes,
}
