from __future__ import annotations

from rejoinder.core.pairtext import PairLayout
from rejoinder.runtime.batching.layouts import Layouts
from rejoinder.runtime.batching.textmodel import Words

WORDS = Words(lambda texts: [[ord(c) for c in text] for text in texts], 101, 102)
THEIRS = {"layout": PairLayout(((0,), (2,)), ((0,), (2, 2), (2,)), 0, 512).facts()}


def codes(text):
    return tuple(map(ord, text))


def test_without_a_layout_of_its_own_a_model_reads_ours():
    ours = Layouts({"budget": {"context": 8, "answer": 8}})
    [row] = ours.answers(WORDS, ["a", "b"], ["c"])
    assert row.ids == (101, ord("a"), 102, ord("b"), 102, ord("c"), 102)
    [row] = Layouts({"budget": 1}).texts(WORDS, ["ab"])
    assert row.ids == (101, ord("a"), 102)


def test_a_model_that_knows_no_turns_reads_them_as_one_text_with_blank_lines_between():
    theirs = Layouts(THEIRS)
    first, second = theirs.answers(WORDS, ["a", "b"], ["c", "d"])
    assert first.ids == (0, *codes("a\n\nb"), 2, 2, ord("c"), 2)
    assert second.ids[:-2] == first.ids[:-2]
    assert theirs.answers(WORDS, ["a"], ["c"])[0].ids == (0, ord("a"), 2, 2, ord("c"), 2)
    assert [row.ids for row in theirs.texts(WORDS, ["a", ""])] == [(0, ord("a"), 2), (0, 2)]
