"""Rule checkers against truth: agreement of at least 0.90 each (evidence, "Pairs").

base_answers.json holds answers that a built base sampled, each with the style that the corpus grammar proves it to
have; `python -m rejoinder.training.embedded answers --base DIR` writes such a file.
"""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from rejoinder.evaluate.checkers import CHECKERS, Limits, check, voiced
from rejoinder.simulate.phrases import load
from rejoinder.simulate.replies import Voice
from rejoinder.simulate.tastes import NORMS, Person, Reading, opposite

ANSWERS = json.loads(Path(__file__).with_name("base_answers.json").read_text(encoding="utf-8"))
LIMITS = Limits()


def agreement(name, rows):
    return np.mean([CHECKERS[name].make(row["answer"], LIMITS) == (name in row["style"]) for row in rows])


SWAPS = {"kilometres": "miles", "metres": "feet", "kilograms": "pounds", "Celsius": "Fahrenheit"}
SWAPS |= {b: a for a, b in SWAPS.items()}


def other_units(text):
    return re.sub("|".join(sorted(SWAPS, key=len, reverse=True)), lambda found: SWAPS[found[0]], text)


def other_layout(text):
    if text.startswith("- "):
        return " ".join(line.removeprefix("- ") + "." for line in text.split("\n"))
    return "\n".join(f"- {part.strip()}" for part in text.split(".") if part.strip())


def other_length(text):
    words = text.split()
    return (
        text
        + " And here is a good deal more that nobody had asked for, said slowly and at some length."
        * (len(words) <= 18)
        if len(words) <= 18
        else " ".join(words[:9])
    )


MUTATIONS = {
    "brief": other_length,
    "detailed": other_length,
    "prose": other_layout,
    "bullets": other_layout,
    "metric": other_units,
    "imperial": other_units,
}


@pytest.mark.parametrize("name", CHECKERS)
def test_each_checker_agrees_with_truth_on_answers_sampled_from_the_base(name):
    assert len(ANSWERS) >= 200
    assert 0.2 < np.mean([name in row["style"] for row in ANSWERS]) < 0.8
    assert agreement(name, ANSWERS) >= 0.90


@pytest.mark.parametrize("name", CHECKERS)
def test_answers_mutated_in_the_attribute_turn_the_verdict_round(name):
    """Control: with the old label kept, agreement must break down."""
    mutated = [{"answer": MUTATIONS[name](row["answer"]), "style": row["style"]} for row in ANSWERS]
    assert agreement(name, mutated) <= 0.10


@pytest.mark.parametrize("name", CHECKERS)
def test_labels_dealt_out_at_random_are_not_agreed_with(name):
    """Control: agreement comes from reading the answer, not from the base rate."""
    styles = [row["style"] for row in ANSWERS]
    random.Random(0).shuffle(styles)
    dealt = [{"answer": row["answer"], "style": style} for row, style in zip(ANSWERS, styles, strict=True)]
    assert agreement(name, dealt) < 0.7


@pytest.mark.parametrize("name", CHECKERS)
def test_the_two_poles_never_both_hold_and_nothing_holds_of_nothing(name):
    against = CHECKERS[CHECKERS[name].traits["against"]]
    assert against.traits["against"] == name
    for row in ANSWERS:
        assert not (CHECKERS[name].make(row["answer"], LIMITS) and against.make(row["answer"], LIMITS))
    assert not CHECKERS[name].make("", LIMITS)


@pytest.mark.parametrize(
    ("name", "answer", "holds"),
    [
        ("bullets", "1. First\n2. Second", True),
        ("bullets", "A - B - C", False),
        ("bullets", "Here you are:\n* one\n* two", True),
        ("prose", "It is minus 5 - cold.", True),
        ("metric", "8,849 m or 29,032 ft", False),
        ("metric", "about 5 km", True),
        ("metric", "five metres", False),
        ("imperial", "It takes 80 minutes at 375 degrees Fahrenheit.", True),
        ("imperial", "It takes 80 minutes.", False),
        ("brief", "- a\n- b", True),
    ],
)
def test_answers_at_the_edge_are_judged_as_a_person_would(name, answer, holds):
    assert CHECKERS[name].make(answer, LIMITS) is holds


def complaints():
    """Follow-ups of people who miss one thing or three, with the wish they truly state."""
    voice = Voice(load(), np.random.default_rng(0))
    for kind, norm in NORMS.items():
        for at in range(len(norm)):
            person = Person("u", NORMS, (0.6, 0.6, 0.6))
            seen = tuple(opposite(p) if i == at else p for i, p in enumerate(norm))
            for _ in range(80):
                if reply := voice.reply(person, kind, Reading(seen, True), satisfied=False):
                    yield reply


@pytest.mark.parametrize("name", CHECKERS)
def test_wishes_are_heard_in_the_simulators_words(name):
    replies = [r for r in complaints() if r.kind in ("wish", "vague", "sarcasm", "quotation")]
    assert sum(name in r.wished for r in replies) >= 30
    assert np.mean([(name in voiced(r.text)) == (name in r.wished) for r in replies]) >= 0.90
    heard = [name in r.wished for r in replies if name in voiced(r.text)]
    assert np.mean(heard) >= 0.90


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("no bullets please", ("prose",)),
        ("bullets, not a paragraph", ("bullets",)),
        ('My boss said "use metric" but thanks', ()),
        ("thanks, perfect", ()),
        ("shorter, and in Celsius", ("brief", "metric")),
        ("stop using feet", ("metric",)),
        ("", ()),
    ],
)
def test_a_wish_is_heard_with_its_negation_and_not_in_quoted_words(text, wishes):
    assert voiced(text) == wishes


def test_a_wish_without_a_rule_is_unmeasured_and_not_a_failure():
    assert check("- a\n- b", ["bullets", "warmer"], LIMITS).met == 1.0
    assert check("- a\n- b", ["bullets", "warmer"], LIMITS).unmeasured == ("warmer",)
    assert check("- a", ["warmer"], LIMITS).met is None
    assert check("- a", ["bullets", "detailed"], LIMITS).met == 0.5
