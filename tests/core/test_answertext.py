from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core.answertext import AnswerBudget, answer_row, text_row

CLS, SEP = 101, 102
BUDGET = AnswerBudget(context=4, answer=3)


def row(context, answer):
    return answer_row(context, answer, cls=CLS, sep=SEP, budget=BUDGET)


def test_turns_are_divided_and_the_answer_with_its_end_is_of_type_one():
    made = row([[1], [2]], [7, 8])
    assert made.ids == (CLS, 1, SEP, 2, SEP, 7, 8, SEP)
    assert made.types == (0, 0, 0, 0, 0, 1, 1, 1)


def test_a_long_conversation_loses_its_beginning_and_a_long_answer_its_end():
    made = row([[1, 2, 3], [4, 5]], [6, 7, 8, 9])
    assert made.ids == (CLS, 3, SEP, 4, 5, SEP, 6, 7, 8, SEP)


def test_no_conversation_and_no_answer_still_make_a_row():
    assert row([], []).ids == (CLS, SEP, SEP)


tokens = st.lists(st.integers(1000, 2000), max_size=12)


@given(st.lists(tokens, max_size=4), tokens)
def test_no_row_is_longer_than_its_budget_and_types_match_ids(context, answer):
    made = row(context, answer)
    assert len(made.ids) == len(made.types) <= BUDGET.context + BUDGET.answer + 3
    assert sum(made.types) == min(len(answer), BUDGET.answer) + 1


def test_a_text_alone_is_cut_at_its_end():
    assert text_row([1, 2, 3], cls=CLS, sep=SEP, budget=2).ids == (CLS, 1, 2, SEP)
