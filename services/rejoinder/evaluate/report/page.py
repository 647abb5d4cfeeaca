"""What a data folder holds of one policy's rounds, as one page that needs nothing else: no request, no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from rejoinder.evaluate.report.calibrated import calibrated
from rejoinder.evaluate.report.drift import costs, parting, wishes
from rejoinder.evaluate.report.gates import gates, rounds
from rejoinder.evaluate.report.judged import judged
from rejoinder.evaluate.report.made import made
from rejoinder.evaluate.report.satisfied import reasons, satisfied
from rejoinder.plots.document import document, section
from rejoinder.plots.markup import Safe, el
from rejoinder.plots.numerals import count, moment, named, percent


def page(report: Mapping[str, Any]) -> str:
    """The whole document. report: as cli/report.py gathers it. No user's word is in it; every name is escaped."""
    name = f"Rejoinder: rounds of {report['policy']}"
    body = [
        el("header", el("h1", name), el("p", _lead(report), class_="lead")),
        section("Rounds", rounds(report)),
        section("The gate", gates(report), "Shaded: where the interval must lie for the measure to pass."),
        section("Satisfaction", satisfied(report), _joined(report)),
        section("What dissatisfies", reasons(report)),
        section("Pairs", made(report)),
        section("Length and KL", costs(report)),
        section("Over-optimisation", parting(report)),
        section("What users said they want", wishes(report), _WISHES),
        section("Calibration of the signals", calibrated(report)),
        section("Other measures", judged(report)),
        el("footer", el("dl", [el("div", el("dt", key), el("dd", value)) for key, value in _facts(report)])),
    ]
    return document(name, body)


_WISHES = (
    "Turns of users of whom no round learns and whom no gate asks. A rule hears a wish and checks both versions' "
    "answers for it, which were not told the wish."
)


def _lead(report: Mapping[str, Any]) -> str:
    found = report["rounds"]
    if not found:
        return f"No round of {report['policy']} has begun."
    counts = Counter(row["outcome"] for row in found)
    parts = [f"{len(found)} round{'s' if len(found) > 1 else ''}: {_listed(counts)}."]
    parts.append(f"Stable is {report['stable']}." if report["stable"] else "No trained version is stable.")
    last = found[-1]
    if last["outcome"] == "refused":
        parts.append(f"Round {last['number']} was refused: {', '.join(last['reasons']) or 'no reason is kept'}.")
    loose = [m["name"] for m in last["measures"] if m["outcome"] == "unmeasured"]
    if loose:
        parts.append(f"Unmeasured in round {last['number']}: {', '.join(loose)}.")
    return " ".join(parts)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def _joined(report: Mapping[str, Any]) -> str:
    found = report["satisfaction"]
    unlinked = ", ".join(f"{cause} {count(n)}" for cause, n in found["unlinked"].items())
    rest = f"; unlinked: {unlinked}." if unlinked else "."
    return (
        "Mean over users of their share of SAT among SAT and DSAT, with 95 % bootstraps by user. "
        f"{percent(found['join_rate'])} of the feedback is joined to an answer{rest}"
    )


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str | Safe]]:
    return [
        ("policy", report["policy"]),
        ("tenant", report["tenant"]),
        ("made", moment(report["made_at"])),
        ("by", named(report["by"])),
    ]
