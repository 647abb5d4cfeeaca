import json

import numpy as np
import pytest
from rejoinder.core.errors import BadFile
from rejoinder.simulate.reading import load_topics
from rejoinder.training.embedded.facts import FACTS, load
from rejoinder.training.embedded.probe import STYLES

TOPICS = load_topics(FACTS)


def test_every_answer_of_the_corpus_is_read_as_the_style_it_was_written_in_and_as_right():
    rng = np.random.default_rng(0)
    for fact, topic in zip(load(), TOPICS, strict=True):
        for style in STYLES:
            reading = topic.read(fact.answer(style, rng))
            assert reading.poles == (style.length, style.layout, style.units)
            assert reading.right


def test_no_answer_about_another_thing_is_right():
    rng = np.random.default_rng(1)
    facts = load()
    for topic, other in zip(TOPICS, facts[1:] + facts[:1], strict=True):
        assert not topic.read(other.answer(STYLES[0], rng)).right


@pytest.mark.parametrize(
    "answer", ["", "   ", "Mount Everest is high.", "Mount Everest is 8850 metres high.", "K2 is 8849 metres high."]
)
def test_an_answer_that_says_nothing_or_something_false_is_not_right(answer):
    assert not TOPICS[0].read(answer).right


def test_an_empty_answer_has_no_style_and_both_units_are_neither():
    assert TOPICS[0].read("").poles == ("", "", "")
    assert TOPICS[0].read("It is 8849 metres, which is 29032 feet.").poles[2] == ""


@pytest.mark.parametrize("text", ["", "{", "[1]", json.dumps([{"kind": "measure"}]), "[]"])
def test_a_bad_list_of_facts_is_a_friendly_error(tmp_path, text):
    path = tmp_path / "facts.json"
    path.write_text(text)
    with pytest.raises(BadFile, match=r"facts\.json"):
        load_topics(path)
