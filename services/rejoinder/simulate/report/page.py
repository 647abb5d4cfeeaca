"""The demonstration's JSON as one page that needs nothing else: no request, no script, both colour schemes, a phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rejoinder.plots.document import document, section
from rejoinder.plots.markup import Safe, el, join
from rejoinder.plots.numerals import count, named, seconds
from rejoinder.simulate.report.costs import divergence, quality
from rejoinder.simulate.report.curves import satisfaction
from rejoinder.simulate.report.headline import summary, tiles
from rejoinder.simulate.report.lineage import trace
from rejoinder.simulate.report.tables import parity, pushes, rounds, timeline, wishes
from rejoinder.simulate.report.verdicts import verdicts

#: What a control run does to the evidence.
CONTROLS = {
    "permuted-followups": "users' replies were exchanged between conversations and kinds; little may be learnt from it",
    "swapped": "chosen and rejected were exchanged by a fair coin; little may be learnt from it",
    "no-training": "no round trained anything",
    "sft": "rounds imitated the chosen answers and ignored the rejected ones",
    "unwished": "the policy wrote anew without being told the wish; what is learnt is what people disliked, not what "
    "they asked for",
    "permuted-within-kind": "users' replies were exchanged among those who asked the same kind of question, most of "
    "whom want the same of it; most of the gain is expected to stay",
}


def page(result: Mapping[str, Any]) -> str:
    """The whole document. result: what the demonstration writes; parts that are absent or null are left out, and a
    number that is not finite is written as a dash. The text is escaped wherever it came from."""
    control = str(result.get("control") or "")
    name = f"Rejoinder: demonstration, seed {named(result.get('seed'))}" + (f", control {control}" if control else "")
    body = [
        el("header", el("h1", name), _warning(control), summary(result), tiles(result)),
        section("Satisfaction by round", satisfaction(result)) if result.get("rounds") else None,
        section("What it must not cost", el("div", quality(result), divergence(result), class_="grid pair"))
        if result.get("rounds")
        else None,
        section("Rounds", rounds(result)),
        section("What users said they want", wishes(result), _WISHES),
        section("Verdicts", verdicts(result), _VERDICTS),
        section("Versions pushed past the gate", pushes(result)),
        section("Where one answer came from", trace(result)),
        section("Parity", parity(result)),
        section("Time", timeline(result)),
        _footer(result, control),
    ]
    return document(name, body)


_VERDICTS = (
    "The line is the difference, the band its confidence sequence, which holds at every look; upright, where the "
    "decision fell. Not worse: the band above −margin; worse: the band below zero. What decides is the E-values of the "
    "same bets; the band is their picture."
)


_WISHES = (
    "Turns of users of whom no round learns and whom no gate asks. A rule hears a wish and checks an answer for it; "
    "no judge is configured, so its share is nought; what neither does is unmeasured, and stays out of the rates."
)


def _warning(control: str) -> Safe | None:
    if not control:
        return None
    return el("p", el("b", f"Control run, {control}: "), CONTROLS.get(control, "not the claim"), class_="control")


def _footer(result: Mapping[str, Any], control: str) -> Safe:
    machine = result.get("machine") or {}
    facts = (
        ("seed", named(result.get("seed"))),
        ("control", control or "none"),
        ("commit", named(result.get("commit"))),
        ("machine", f"{named(machine.get('cpu'))}, {count(machine.get('cores'))} cores"),
        ("took", f"{seconds(result.get('seconds'))}, {count(result.get('peak_mb'))} MB at most"),
    )
    return el(
        "footer",
        el("dl", [el("div", el("dt", key), el("dd", value)) for key, value in facts]),
        el("p", join(["Simulated users, see ", el("code", "simulate/"), "."])),
    )
