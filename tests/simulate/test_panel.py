import numpy as np
import pytest
from rejoinder.simulate.panel import Panel
from rejoinder.simulate.phrases import load
from rejoinder.simulate.reading import load_topics
from rejoinder.simulate.tastes import NORMS
from rejoinder.training.embedded.facts import FACTS, Style
from rejoinder.training.embedded.facts import load as facts

TOPICS = load_topics(FACTS)
FACT_OF = dict(zip(TOPICS, facts(), strict=True))


def panel(seed=0, count=80):
    return Panel(TOPICS, load(), count=count, seed=seed)


def answers(seats, style_of):
    rng = np.random.default_rng(0)
    return [FACT_OF[s.topic].answer(Style(*style_of(s)), rng) for s in seats]


def test_the_same_people_put_the_same_questions_with_the_same_seeds_to_every_version():
    assert panel().seats == panel().seats
    assert panel().seats != panel(seed=1).seats


def test_every_kind_is_asked_equally_often():
    kinds = [seat.topic.kind for seat in panel().seats]
    assert all(kinds.count(kind) == len(kinds) / len(NORMS) for kind in NORMS)


def test_panel_people_share_no_id_with_traffic():
    assert all(seat.person.id.startswith("panel-") for seat in panel().seats)


def test_answers_to_everybodys_own_taste_reach_the_optimum():
    group = panel(count=400)
    score = group.first_answer(answers(group.seats, lambda s: s.person.tastes[s.topic.kind]))
    assert score.means()["satisfaction"] == pytest.approx(group.ceilings().optimum)
    assert score.right.all()


def test_answers_in_the_norm_of_the_kind_stand_near_the_line_by_kind():
    group = panel(count=1600)
    score = group.first_answer(answers(group.seats, lambda s: NORMS[s.topic.kind]))
    assert score.means()["satisfaction"] == pytest.approx(group.ceilings().by_kind, abs=0.03)


def test_only_those_who_miss_something_wish_and_the_same_lack_is_said_in_the_same_words():
    group = panel()
    first = answers(group.seats, lambda s: NORMS[s.topic.kind])
    prompts = group.wishes(first)
    pleased = {i for i, s in enumerate(group.seats) if s.person.tastes[s.topic.kind] == NORMS[s.topic.kind]}
    assert set(prompts) == set(range(len(group.seats))) - pleased
    assert group.wishes(first) == prompts
    seat, turns = next((group.seats[i], t) for i, t in prompts.items())
    assert turns[:1] == seat.prompt
    assert [role for role, _ in turns] == ["user", "assistant", "user"]


def test_after_a_wish_the_revised_answer_counts_and_the_others_keep_theirs():
    group = panel()
    first = answers(group.seats, lambda s: NORMS[s.topic.kind])
    own = answers(group.seats, lambda s: s.person.tastes[s.topic.kind])
    revised = {i: own[i] for i in group.wishes(first)}
    after = group.after_wish(first, revised)
    assert after.means()["satisfaction"] == pytest.approx(0.95)
    assert group.first_answer(first).means()["satisfaction"] < 0.8
    assert group.after_wish(first, {}).satisfaction.tolist() == group.first_answer(first).satisfaction.tolist()


def test_wrong_facts_are_a_line_of_their_own():
    group = panel()
    strangers = TOPICS[1:] + TOPICS[:1]
    other = dict(zip(TOPICS, strangers, strict=True))
    rng = np.random.default_rng(0)
    wrong = [FACT_OF[other[s.topic]].answer(Style(*s.person.tastes[s.topic.kind]), rng) for s in group.seats]
    score = group.first_answer(wrong)
    assert score.means()["facts_right"] == 0
    assert score.means()["satisfaction"] < 0.2
