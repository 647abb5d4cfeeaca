"""console/words: spans cut a text and lose nothing of it; a quotation is found or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.console.words import Piece, did, pieces, place_of
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import KINDS, Feedback, Rating, Reason


def test_overlapping_spans_are_cut_where_they_begin_and_end() -> None:
    found = pieces("No, in Celsius!", [Reason("revision", start=0, end=14), Reason("style", start=4, end=15)])
    assert found == [
        Piece("No, ", ("revision",)),
        Piece("in Celsius", ("revision", "style")),
        Piece("!", ("style",)),
    ]


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(-5, 40), st.integers(-5, 40)), max_size=4))
def test_whatever_the_spans_the_text_is_whole(text: str, spans: list[tuple[int, int]]) -> None:
    found = pieces(text, [Reason("style", start=start, end=end) for start, end in spans])
    assert "".join(piece.text for piece in found) == text
    marked = sum(len(piece.text) for piece in found if piece.reasons)
    covered = {place for start, end in spans for place in range(max(0, start), min(len(text), end))}
    assert marked == len(covered)


def test_a_quotation_is_found_whatever_its_letter_case_and_refused_where_it_does_not_stand() -> None:
    assert place_of("  celsius ", "No, in Celsius!") == (7, 14)
    assert place_of("", "anything") == (0, 0)
    with pytest.raises(InvalidArgument) as refused:
        place_of("kelvin", "No, in Celsius!")
    assert "kelvin" not in refused.value.message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_reaction_has_words_for_people(kind: str) -> None:
    made = Rating(number=1.0, scale_max=1.0) if kind == "rating" else KINDS[kind]()
    assert did(Feedback(kind=made))
