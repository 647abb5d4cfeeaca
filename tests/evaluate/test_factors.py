"""evaluate/factors: each row's number on answers whose number is known."""

from __future__ import annotations

import pytest
from rejoinder.evaluate.factors import FACTORS, Text

ASKED = "How do I cook rice in a small pot?"


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        ("length", "Don't stir it; wait.", 4),
        ("length", "- \n…", 0),
        ("sentences", "Wash it. Then boil 1.5 cups! Ready?", 3),
        ("sentences", "- wash it\n- boil it", 2),
        ("sentences", "...", 0),
        ("markup", "Steps:\n- wash\n2. boil\n**Enjoy** it", 3),
        ("markup", "3 cups - no more.", 0),
        ("hedging", "Perhaps it might work, I think so.", 100 * 3 / 7),
        ("hedging", "Mighty maybes.", 0),
        ("refusal", "I can't help with that.", 1),
        ("refusal", "Das kann ich leider nicht beantworten.", 1),
        ("refusal", "Wash it first.", 0),
        ("overlap", "Cook the rice.", 0.5),
        ("overlap", "No idea.", 0),
        ("repetition", "go on and on and on and on", 0.5),
        ("repetition", "one two", 0),
        ("readability", "The cat sat.", 206.835 - 1.015 * 3 - 84.6),
        ("readability", "", 0),
        ("questions", "Which pot? A big one?", 2),
        ("numbers", "2 cups, 30 whole minutes", 40),
    ],
)
def test_a_factor_has_its_number(name: str, answer: str, value: float) -> None:
    assert FACTORS[name].make(Text(ASKED), Text(answer)) == pytest.approx(value)


@pytest.mark.parametrize("name", list(FACTORS))
@pytest.mark.parametrize("answer", ["", "  \n", "🙂", "a" * 5000, "水を飲む。", "'’'"])
def test_a_factor_has_a_number_of_any_text(name: str, answer: str) -> None:
    assert isinstance(FACTORS[name].make(Text(answer), Text(answer)), float)


def test_a_question_of_common_words_alone_is_taken_up_by_nobody() -> None:
    assert FACTORS["overlap"].make(Text("What is it?"), Text("What is it?")) == 0
