from __future__ import annotations

import pytest
from rejoinder.core.pairtext import PairLayout, longest_first

#: As RoBERTa's: two separators between, no types.
PLAIN = PairLayout(((0,), (2,)), ((0,), (2, 2), (2,)), 0, 12)
TYPED = PairLayout(((101,), (102,)), ((101,), (102,), (102,)), 1, 11)


def test_what_stands_around_texts_and_their_types_are_the_models_own():
    assert PLAIN.ranked([7], [8, 9]).ids == (0, 7, 2, 2, 8, 9, 2)
    assert PLAIN.ranked([7], [8, 9]).types == (0,) * 7
    row = TYPED.answered([7], [8, 9])
    assert (row.ids, row.types) == ((101, 7, 102, 8, 9, 102), (0, 0, 0, 1, 1, 1))
    assert PLAIN.alone([7]).ids == (0, 7, 2)
    assert PLAIN.alone(range(3, 20)).ids == (0, *range(3, 13), 2)
    assert PairLayout.of(TYPED.facts()) == TYPED


def test_a_conversation_keeps_its_end_and_at_least_a_quarter_and_the_answer_its_beginning():
    """Room for 8 tokens."""
    said, answer = range(10, 20), range(30, 40)
    assert TYPED.answered(said, answer[:2]).ids == (101, *range(14, 20), 102, 30, 31, 102)
    assert TYPED.answered(said, answer).ids == (101, 18, 19, 102, *range(30, 36), 102)
    assert TYPED.answered(said[:1], answer).ids == (101, 10, 102, *range(30, 37), 102)
    assert all(len(TYPED.answered(said[:n], answer[:m]).ids) <= 11 for n in range(11) for m in range(11))


@pytest.mark.parametrize("room", [7, 8])
def test_pairs_are_cut_as_the_tokenizers_library_cuts_the_longest_first(room):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(room, strategy="longest_first")
    for first in range(12):
        for second in range(12):
            ids = tokenizer.encode("a " * first, "b " * second).ids
            assert longest_first(first, second, room) == (ids.count(0), ids.count(1)), (first, second)
