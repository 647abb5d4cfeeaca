"""runtime/backends/waves: which rows share a batch."""

from __future__ import annotations

from rejoinder.core.types import Sampling
from rejoinder.runtime.backends.rows import Row, Scoring
from rejoinder.runtime.backends.waves import next_rows, next_scored


def row(prompt: int, answer: int, adapter: str = "") -> Row:
    return Row([1] * prompt, Sampling(max_tokens=answer), adapter)


def test_the_oldest_row_is_always_taken_and_those_of_its_version_in_order() -> None:
    rows = [row(5, 5, "a"), row(5, 5, "b"), row(5, 5, "a"), row(5, 5)]
    assert next_rows(rows, 4, 100) == [rows[0], rows[2]]
    assert next_rows(rows[1:], 4, 100) == [rows[1]]


def test_no_more_are_taken_than_there_is_room_for() -> None:
    rows = [row(5, 5) for _ in range(5)]
    assert next_rows(rows, 3, 100) == rows[:3]
    assert next_rows(rows, 0, 100) == []


def test_the_longest_prompt_and_the_longest_answer_must_fit_together() -> None:
    long, short, small = row(90, 10), row(10, 40), row(10, 10)
    assert next_rows([long, short, small], 4, 100) == [long, small]
    assert next_rows([short, long, small], 4, 100) == [short, small]
    # An answer that nobody bounds takes what the context leaves it, and so sets the pace for the rest.
    assert next_rows([row(10, 0), small, row(11, 5)], 4, 100)[1:] == [small]


def test_a_row_that_fills_the_context_goes_alone() -> None:
    alone = row(99, 50)
    assert next_rows([alone, row(98, 2)], 4, 100) == [alone]


def scoring(adapter: str, *lengths: int, done: int = 0) -> Scoring:
    return Scoring([((1,), (1,) * (n - 1)) for n in lengths], adapter, values=[0.0] * done)


def test_likelihoods_of_one_version_are_scored_together_in_order() -> None:
    one, other, two = scoring("a", 5, 6, 7, done=1), scoring("b", 5), scoring("a", 4)
    found = next_scored([one, other, two], 8, 100)
    assert found == [(one, one.rows[1]), (one, one.rows[2]), (two, two.rows[0])]
    assert next_scored([], 8, 100) == []


def test_no_more_likelihoods_are_taken_than_rows_or_padded_tokens_allow() -> None:
    asked = scoring("a", 10, 10, 40, 10)
    assert len(next_scored([asked], 2, 1000)) == 2
    # Three rows of 40 would be 120 padded tokens; the third starts the next turn.
    assert len(next_scored([asked], 8, 100)) == 2
    # One that is too long by itself is scored all the same.
    assert len(next_scored([scoring("a", 500, 5)], 8, 100)) == 1
