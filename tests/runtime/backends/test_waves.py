"""runtime/backends/waves: which rows share a batch."""

from __future__ import annotations

from rejoinder.core.types import Sampling
from rejoinder.runtime.backends.rows import Row
from rejoinder.runtime.backends.waves import next_rows


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
