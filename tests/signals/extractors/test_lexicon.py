"""The second judge that counts words."""

import json
from pathlib import Path

import pytest
from rejoinder.core.types import Polarity
from rejoinder.signals.extractors.lexicon import Params, read

TURNS = Path("tests/data/signals/hh_rubric_test.jsonl")


@pytest.mark.parametrize(
    ("said", "polarity"),
    [
        ("Thanks, that is exactly what I asked for!", "SAT"),
        ("That is wrong, try again.", "DSAT"),
        ("That's not helpful", "DSAT"),
        ("this is not a great answer", "DSAT"),
        ("Great, but this is wrong and too long.", "DSAT"),
        ("That was wrong. Perfect now.", "SAT"),
        ("How far is Rome from Naples?", "NONE"),
        ("", "NONE"),
    ],
)
def test_the_pole_with_more_words_wins_and_the_last_word_where_they_are_even(said, polarity):
    assert read(said, Params()).polarity == polarity


def test_what_it_cannot_do_is_known():
    assert read('My boss said "this is useless", what now?', Params()).polarity is Polarity.DSAT
    assert read("Das ist falsch!", Params()).polarity is Polarity.NONE


def test_on_peoples_turns_it_is_right_as_often_as_it_says():
    """200 turns of people's: its stated confidence is no more than what it reaches."""
    turns = [json.loads(line) for line in TURNS.read_text(encoding="utf-8").splitlines()]
    right = sum(read(t["followup"], Params()).polarity == t["label"].upper() for t in turns)
    assert right / len(turns) >= Params().confidence
