"""rounds/build: every piece of evidence ends as a pair or as a drop with a cause."""

from __future__ import annotations

from rejoinder.core.types import Choice, Comparison, Edit, Feedback, Interaction, Message, Role, Served
from rejoinder.ledger.reading.windows import Evidence
from rejoinder.rounds import recipe
from rejoinder.rounds.build import build_pairs
from rejoinder.rounds.pairs.context import Context


def evidence(number: int, kind: object, other: str = "") -> Evidence:
    asked = (Message(Role.USER, f"Question number {number}?"),)
    this = Interaction("t", f"e{number}", f"i{number}", "a", messages=asked, response=f"the first answer {number}")
    this = Interaction(**{**this.__dict__, "served": Served(version="m"), "user_id": "u"})
    second = Interaction(**{**this.__dict__, "response": other}) if other else None
    return Evidence(f"f{number}", "t", Feedback("t", f"f{number}", kind=kind), this, None, second)  # type: ignore[arg-type]


def test_pairs_drops_and_absent_ports_are_all_counted() -> None:
    chosen = recipe.of({"name": "r", "builders": ["wildfeedback", "edits", "comparisons"]})
    some = [
        evidence(1, Edit("the first answer 1, mended")),
        evidence(2, Edit("the first answer 2")),
        evidence(3, Comparison("x", "", Choice.THIS), "another answer altogether 3"),
        evidence(4, Comparison("x", "", Choice.TIE), "another answer altogether 4"),
        evidence(5, Comparison("x", "", Choice.OTHER), "write to a.b@example.org for answer 5"),
    ]
    pairs, counts = build_pairs(some, chosen, Context("assist", "", 1, 0))
    assert [p.id for p in pairs] == ["edits:f1", "comparisons:f3"]
    assert counts == {
        "left_out.wildfeedback.no_sampler": 1,
        "left_out.wildfeedback.no_summariser": 1,
        "built.edits": 1,
        "dropped.edits.edit_too_small": 1,
        "built.comparisons": 1,
        "dropped.comparisons.tie": 1,
        "dropped.comparisons.pii": 1,
    }


def test_whoever_waits_hears_how_far_the_builders_are() -> None:
    chosen = recipe.of({"name": "r", "builders": ["edits", "comparisons"]})
    some = [evidence(n, Edit(f"the first answer {n}, mended")) for n in range(4)]
    heard: list[float] = []
    build_pairs(some, chosen, Context("assist", "", 1, 0), heard.append)
    assert heard == [0.0, 0.125, 0.25, 0.375], "four of eight: nobody compared anything"
