"""What is true of every extractor: silent about other kinds, repeatable, in range, with evidence inside the words."""

import dataclasses

import pytest
from rejoinder.core.errors import UnknownRow
from rejoinder.core.rubric import NAMES
from rejoinder.core.types import (
    KINDS,
    Abandon,
    Click,
    Comment,
    Comparison,
    Copy,
    Edit,
    FollowUp,
    Outcome,
    Polarity,
    Rating,
    Regenerate,
)
from rejoinder.signals.extractors import EXTRACTORS

EXAMPLES = {
    "follow_up": FollowUp("Where does Rome lie? That was wrong."),
    "rating": Rating(name="stars", number=5, scale_min=1, scale_max=5),
    "comment": Comment("Perfect, thanks!"),
    "edit": Edit("Rome lies in Lazio, on the river Tiber."),
    "comparison": Comparison(),
    "click": Click("c1", 2),
    "copy": Copy(200),
    "regenerate": Regenerate(),
    "abandon": Abandon(1.0),
    "outcome": Outcome("bought", 1.0),
}
ROWS = pytest.mark.parametrize("name", list(EXTRACTORS))


def test_the_examples_cover_every_kind_of_feedback():
    assert set(EXAMPLES) == set(KINDS)


def run(name, evidence, ports):
    row = EXTRACTORS[name]
    return row.make(evidence, row.with_params(), ports)


@ROWS
def test_a_row_answers_its_own_kinds_and_is_silent_about_the_others(name, about, ports):
    for kind, example in EXAMPLES.items():
        found = run(name, [about(example)], ports)
        expected = 1 if kind in EXTRACTORS[name].traits["kinds"] else 0
        if (name, kind) == ("reask", "follow_up"):
            continue  # silent unless the question comes again: its own test
        assert len(found) == expected, kind


@ROWS
def test_no_feedback_gives_no_signal(name, ports):
    """F08: absence is not a label."""
    assert run(name, [], ports) == ()


@ROWS
def test_a_redelivered_event_gives_the_same_signal_under_the_same_id(name, about, ports):
    """F07."""
    evidence = [about(example) for example in EXAMPLES.values()]
    once, twice = run(name, evidence, ports), run(name, evidence, ports)
    assert once == twice
    later = [dataclasses.replace(e, feedback=dataclasses.replace(e.feedback, event_id="f2")) for e in evidence]
    assert {s.event_id for s in run(name, later, ports)}.isdisjoint(s.event_id for s in once)


@ROWS
def test_every_number_is_in_its_range_and_every_reason_quotes_words_that_are_there(name, about, ports):
    for kind, example in EXAMPLES.items():
        for signal in run(name, [about(example)], ports):
            assert signal.polarity in (Polarity.SAT, Polarity.DSAT, Polarity.NONE)
            assert 0.0 < signal.confidence <= 1.0
            assert 0.0 <= signal.strength <= 1.0
            assert 1.0 <= signal.level <= 5.0
            assert (signal.level - 3.0) * {Polarity.SAT: 1, Polarity.DSAT: -1, Polarity.NONE: 0}[signal.polarity] >= 0
            assert signal.source_event_id == "f1"
            assert signal.extractor == name
            assert signal.extractor_version
            assert (signal.tenant, signal.interaction_id, signal.attempt_id) == ("t", "i1", "i1.0")
            for reason in signal.reasons:
                assert reason.rubric in NAMES
                assert 0 <= reason.start < reason.end <= len(getattr(example, "text", "")), kind


@ROWS
def test_an_unknown_parameter_is_a_type_error(name):
    with pytest.raises(TypeError):
        EXTRACTORS[name].with_params({"no_such_parameter": 1})


@ROWS
def test_weak_rows_never_claim_more_than_a_rating(name, about, ports):
    if EXTRACTORS[name].traits.get("weak"):
        rating = run("ratings", [about(EXAMPLES["rating"])], ports)[0].confidence
        for example in EXAMPLES.values():
            assert all(s.confidence < rating for s in run(name, [about(example)], ports))


def test_an_unknown_row_answers_with_the_known_ones():
    with pytest.raises(UnknownRow, match="minilm, comment, ratings"):
        EXTRACTORS["bert"]
