"""The simulator's wording is news to the base policy and to the extractor."""

import numpy as np
import pytest
from rejoinder.simulate.ngrams import ngrams, shared
from rejoinder.simulate.phrases import load
from rejoinder.simulate.replies import Voice
from rejoinder.simulate.tastes import NORMS, Person, Reading, opposite
from rejoinder.training.embedded.base import BaseParams
from rejoinder.training.embedded.build import training_text
from rejoinder.training.extractor.text import training_texts


def said():
    """Whole follow-ups as they are sent, from people who miss everything."""
    voice = Voice(load(), np.random.default_rng(0))
    for kind, norm in NORMS.items():
        person = Person("u", NORMS, (0.6, 0.6, 0.6))
        reading = Reading(tuple(opposite(p) for p in norm), False)
        for _ in range(300):
            if reply := voice.reply(person, kind, reading, satisfied=False):
                yield reply.text


def corpus_texts(count):
    """Each distinct text of the corpus once: its first exchanges, or all of them."""
    exchanges = training_text(BaseParams(exchanges=count), seed=0)
    return {text for exchange in exchanges for _, text in exchange.turns}


def test_the_phrase_bank_shares_no_four_words_in_a_row_with_a_tenth_of_the_corpus():
    assert shared([*load().all(), *said()], corpus_texts(BaseParams().exchanges // 10)) == set()


@pytest.mark.proof
def test_the_phrase_bank_shares_no_four_words_in_a_row_with_the_corpus_of_the_base():
    assert shared([*load().all(), *said()], corpus_texts(BaseParams().exchanges)) == set()


def test_the_phrase_bank_shares_no_four_words_in_a_row_with_what_the_extractor_learnt_from():
    texts = list(training_texts())
    assert len(texts) > 1000
    assert shared([*load().all(), *said()], texts) == set()


def test_question_templates_are_in_the_bank_that_is_compared():
    """Asked about the same things, a question shares the name of the thing and no more: its slot is no wording."""
    assert all(t in load().all() for templates in load().questions.values() for t in templates)


def test_a_planted_phrase_is_found():
    """Control: one sentence of the corpus among the simulator's, in another case and punctuation, is reported."""
    assert shared(["So: GET to the point!", "nothing else"], ["please get to the point."]) == {
        ("get", "to", "the", "point")
    }


def test_no_run_crosses_a_slot():
    assert ngrams("one two {topic} three four") == set()
    assert ngrams("{topic} one two three four") == {("one", "two", "three", "four")}
