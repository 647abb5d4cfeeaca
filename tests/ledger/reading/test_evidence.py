"""ledger/evidence: what one version of an extractor said of what is joined, and the words behind it, for an audit."""

from __future__ import annotations

from rejoinder.core import types
from rejoinder.ledger.reading.evidence import pieces_by_event, said_by


def test_one_version_said_of_joined_feedback_with_the_reasons(bench) -> None:
    reasons = (types.Reason("style", 0.8, 0, 2),)
    ledger = bench.ledger()
    ledger.project(
        bench.of(
            bench.answer("x"),
            bench.said("f1", "x"),
            bench.said("f2", "x"),
            bench.said("f3", "nobody"),
            bench.signal("f1", "x", "DSAT", reasons=reasons),
            bench.signal("f1", "x", "SAT", extractor_version="2"),
            bench.signal("f1", "x", "SAT", extractor="y"),
            bench.signal("f2", "x", "NONE", after=90.0),
            bench.signal("f3", "nobody", "SAT"),
            # Of another attempt than the one that the feedback is joined to now.
            bench.signal("f2", "x", "SAT", event_id="old", attempt_id="a-before"),
        )
    )
    found = {one.event_id: one for one in said_by(ledger.store, "t", "x", "1")}
    assert {name: (one.polarity, one.reasons) for name, one in found.items()} == {
        "f1": (types.Polarity.DSAT, ("style",)),
        "f2": (types.Polarity.NONE, ()),
    }
    assert found["f1"].confidence == 0.9
    assert [one.event_id for one in said_by(ledger.store, "t", "x", "1", bench.now + 50.0)] == ["f2"]
    assert not list(said_by(ledger.store, "other", "x", "1"))


def test_pieces_come_with_their_answer_and_what_is_gone_is_left_out(bench) -> None:
    ledger = bench.ledger()
    ledger.project(bench.of(bench.answer("x"), bench.said("f1", "x"), bench.said("f2", "nobody")))
    (piece,) = pieces_by_event(ledger.store, "t", ["f1", "f2", "f9"])
    assert (piece.feedback.event_id, piece.interaction.response) == ("f1", "answer x")
    assert not list(pieces_by_event(ledger.store, "other", ["f1"]))
