"""evaluate/facts: right and wrong by the list of facts, by another rule than the simulated people's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rejoinder.core.errors import BadFile
from rejoinder.evaluate.facts import load
from rejoinder.simulate.reading import load_topics
from rejoinder.training.embedded.facts import FACTS, Style
from rejoinder.training.embedded.facts import load as taught

CHECK = load(FACTS)
EVEREST = "What is the height of Mount Everest?"


def check(question: str, answer: str) -> bool | None:
    return CHECK([{"role": "system", "content": "the height of K2"}, {"role": "user", "content": question}], answer)


@pytest.mark.parametrize("length", ["brief", "detailed"])
@pytest.mark.parametrize("layout", ["prose", "bullets"])
@pytest.mark.parametrize("units", ["metric", "imperial"])
def test_what_was_taught_is_right_in_every_style_and_wrong_of_anything_else(
    length: str, layout: str, units: str
) -> None:
    style, rng, facts = Style(length, layout, units), np.random.default_rng(0), taught()  # type: ignore[arg-type]
    for fact, other in zip(facts, facts[1:] + facts[:1], strict=True):
        asked = f"Any idea of {fact.topics[-1].upper()}?"
        assert check(asked, fact.answer(style, rng)) is True
        assert check(asked, other.answer(style, rng)) is False
        assert check(asked, "") is False


@pytest.mark.parametrize(
    "answer",
    [
        "Mount Everest is 8849 feet high.",
        "Mount Everest is 8848 metres high.",
        "It is 8849 metres high.",
        "Mount Everest is 8849 metres high, or 9000 metres.",
        "Mount Everest is very high.",
    ],
)
def test_a_wrong_unit_a_wrong_number_another_number_and_no_name_are_wrong(answer: str) -> None:
    assert check(EVEREST, answer) is False


def test_what_nobody_knows_of_is_not_judged_and_of_two_topics_the_longer_was_asked() -> None:
    assert check("Who are you?", "Nobody.") is None
    assert check(EVEREST, "Mount Everest is 8849 metres high, which is 29032 feet.") is True
    assert check("Is it true that bake a potato?", "- Bake the potato\n- Heat: 200 degrees Celsius") is True


def test_it_is_no_copy_of_the_judges_rule() -> None:
    """No checker both gates and judges: where units decide, the two differ."""
    everest = next(t for t in load_topics(FACTS) if t.subject == "Mount Everest")
    wrong = "Mount Everest is 8849 feet high."
    assert everest.read(wrong).right
    assert check(EVEREST, wrong) is False


@pytest.mark.parametrize("text", ["no JSON", '[{"topics": ["a"]}]', '["a"]'])
def test_a_file_that_holds_no_facts_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=r"facts\.json"):
        load(path)
