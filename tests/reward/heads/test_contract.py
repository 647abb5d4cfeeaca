"""What holds for every row of the head table."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.types import Message, Role
from rejoinder.reward.heads import HEADS
from rejoinder.runtime.batching.causalmodel import ChatWords
from rejoinder.runtime.batching.textmodel import Words


def encode(texts):
    return [[1000 + ord(c) for c in text] for text in texts]


#: By what kind of model a row reads.
WORDS = {
    "encoder": Words(encode, 101, 102),
    "causal": ChatWords(lambda messages: encode([" ".join(m.content for m in messages)])[0], encode),
}
FACTS = {"budget": {"context": 8, "answer": 8}, "outputs": ["score"], "end": [1]}
ASKED = [Message(Role.USER, "abc"), Message(Role.ASSISTANT, "de"), Message(Role.USER, "f")]


@pytest.fixture(params=list(HEADS))
def row(request):
    return HEADS[request.param]


@pytest.fixture
def head(row):
    return row.make(FACTS)


def test_there_is_one_row_per_response_and_it_depends_on_its_own_text_alone(row, head):
    words = WORDS[row.traits["model"]]
    together = head.rows(words, ASKED, ["x", "yy", "x"])
    assert together == [head.rows(words, ASKED, [text])[0] for text in ("x", "yy", "x")]
    assert together[0] != together[1]


def test_there_is_one_score_per_row_in_order(head):
    scores = head.scores(np.array([0.5, -1.0, 2.0]))
    assert sorted(scores) == [scores[1], scores[0], scores[2]]


def test_the_row_of_the_table_says_its_shape(head):
    assert head.shape in ("scalar", "vector", "embedding", "list", "segment", "judge")
    assert head.output in FACTS["outputs"]
