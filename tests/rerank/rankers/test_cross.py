from __future__ import annotations

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.core.pairtext import PairLayout
from rejoinder.core.types import Message, Role
from rejoinder.rerank.rankers.cross import Cross
from rejoinder.runtime.batching.textmodel import NOBODY, Words

LAYOUT = PairLayout(((1,), (2,)), ((1,), (2,), (2,)), 1, 16)


class Rows:
    """A text model that keeps the rows it is given."""

    digest = "d1"

    def __init__(self, facts) -> None:
        self.facts = facts
        self.rows = []

    async def infer(self, rows, output, caller):
        self.rows = rows(Words(lambda texts: [[ord(c) for c in text] for text in texts], 101, 102))
        return [len(row.ids) for row in self.rows]


async def test_query_and_candidate_are_read_together_and_nothing_of_the_user():
    model = Rows({"layout": LAYOUT.facts()})
    await Cross(model, None).score([Message(Role.USER, "likes b")], "q", ["a", "bc"], NOBODY)
    assert [row.ids for row in model.rows] == [(1, ord("q"), 2, ord("a"), 2), (1, ord("q"), 2, ord("b"), ord("c"), 2)]
    assert model.rows[0].types == (0, 0, 0, 1, 1)


def test_a_model_that_was_not_trained_on_pairs_is_refused():
    with pytest.raises(BadFile, match="--kind score"):
        Cross(Rows({"budget": {"context": 8, "answer": 8}}), None)
