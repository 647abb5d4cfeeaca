"""What the base policy reads: evidence, "The demo's world"."""

from collections import Counter

import numpy as np
import pytest
from rejoinder.training.embedded.corpus import SKEW, Speaker, corpus, load_wording, questions
from rejoinder.training.embedded.facts import ATTRIBUTES, KINDS, load
from rejoinder.training.embedded.probe import STYLES, readings

FACTS, WORDS = load(), load_wording()
KNOWN = {answer: (fact, style) for fact in FACTS for answer, style in readings(fact).items()}


@pytest.fixture(scope="module")
def exchanges():
    return list(corpus(FACTS, WORDS, 6000, np.random.default_rng(0)))


def test_every_kind_occurs_in_every_style_unasked(exchanges):
    plain = Counter()
    for e in exchanges:
        if e.turns[0][0] == "user":
            fact, style = KNOWN[e.turns[1][1]]
            plain[fact.kind, style] += 1
    for kind in KINDS:
        total = sum(plain[kind, s] for s in STYLES)
        shares = [plain[kind, s] / total for s in STYLES]
        assert min(shares) > 0
        assert max(shares) / min(shares) > 2, "skewed, so that there is something to learn"


def test_each_style_of_each_kind_has_a_share_of_three_percent_and_no_two_kinds_the_same_habits():
    for skew in SKEW.values():
        assert np.prod([min(p, 1 - p) for p in skew]) >= 0.03
    assert len(set(SKEW.values())) == len(KINDS)


def test_every_answer_about_a_thing_is_right(exchanges):
    polite = set(WORDS.welcome)
    answers = [text for e in exchanges for role, text in e.turns if role == "assistant" and text not in polite]
    assert len(answers) > len(exchanges)
    assert all(a in KNOWN for a in answers)


def test_held_out_questions_never_occur_and_are_a_tenth(exchanges):
    kept = {q for f in FACTS for q in questions(f, WORDS)[1]}
    trained = {q for f in FACTS for q in questions(f, WORDS)[0]}
    assert len(kept) == len(trained | kept) / 10
    asked = {text for e in exchanges for role, text in e.turns if role == "user"}
    assert asked & trained
    assert not any(text.endswith(q) for text in asked for q in kept)


def test_wishes_stand_in_the_system_prompt_in_two_families_of_wording_and_in_the_next_turn(exchanges):
    systems = [text for e in exchanges for role, text in e.turns[:1] if role == "system"]
    described = [s for s in systems if any(w in s for w in ("The user", "the user", "They", "This person", "Feedback"))]
    assert 0.2 < len(described) / len(systems) < 0.8
    revised = [e for e in exchanges if [r for r, _ in e.turns][-4:] == ["user", "assistant"] * 2]
    changed = [e for e in revised if e.turns[-1][1] in KNOWN and e.turns[-1][1] != e.turns[-3][1]]
    assert len(changed) > 0.3 * len(exchanges)
    assert all(KNOWN[e.turns[-1][1]][0] is KNOWN[e.turns[-3][1]][0] for e in changed)


def test_a_stated_wish_holds_in_the_answer():
    """Every wording of every pole, in both families and in the user's turn: no pole is named by another's words."""
    rng = np.random.default_rng(1)
    speaker = Speaker(WORDS, rng)
    for pair in ATTRIBUTES.values():
        for pole in pair:
            own = set(WORDS.poles[pole]["want"]) | set(WORDS.poles[pole]["act"])
            other = next(p for p in pair if p != pole)
            assert not own & (set(WORDS.poles[other]["want"]) | set(WORDS.poles[other]["act"]))
            assert speaker.system([pole])
            assert speaker.said([pole])


def test_what_is_wanted_is_named_more_often_than_what_is_not():
    """Control of the wording: single words must point to the wish, else a small model never finds it."""
    speaker = Speaker(WORDS, np.random.default_rng(2))
    said = [speaker.said(["bullets"]).lower() for _ in range(600)]
    other = [speaker.said(["prose"]).lower() for _ in range(600)]
    named = [sum("bullet" in t or "list" in t or "points" in t for t in texts) for texts in (said, other)]
    assert named[0] > 1.5 * named[1]


def test_the_same_seed_writes_the_same_corpus():
    first, again, other = (list(corpus(FACTS, WORDS, 50, np.random.default_rng(s))) for s in (1, 1, 2))
    assert first == again
    assert first != other
