"""What holds for every row of the ranker table."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.pairtext import PairLayout
from rejoinder.core.types import Message, Role
from rejoinder.rerank.rankers import RANKERS
from rejoinder.runtime.batching.textmodel import NOBODY, Words

WORDS = Words(lambda texts: [[ord(c) for c in text] for text in texts], 101, 102)
KNOWN = [Message(Role.USER, "likes b")]


class Letters:
    """A text model: `embedding` counts letters, `score` counts the answer's vowels. The letter a counts most."""

    digest = "d1"

    def __init__(self, facts) -> None:
        self.facts = facts

    async def infer(self, rows, output, caller=NOBODY):
        made = [[sum(i == ord(c) for i in row.ids) for c in "abc"] for row in rows(WORDS)]
        counts = np.array(made, dtype=np.float64)
        if output == "score":
            return counts @ [3.0, 2.0, 1.0]
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


MODELS = {
    "encoder": Letters({"budget": 20}),
    "reward": Letters({"budget": {"context": 20, "answer": 20}}),
    "cross": Letters({"layout": PairLayout(((1,), (2,)), ((1,), (2,), (2,)), 1, 64).facts()}),
    "": None,
}


@pytest.fixture(params=list(RANKERS))
def ranker(request):
    row = RANKERS[request.param]
    return row.make(MODELS[row.traits["model"]], row.with_params())


async def test_there_is_one_finite_score_per_candidate(ranker):
    scores = await ranker.score(KNOWN, "a", ["a", "b", "cc", ""], NOBODY)
    assert scores.shape == (4,)
    assert np.isfinite(scores).all()


async def test_with_the_best_candidate_first_it_stays_first(ranker):
    scores = await ranker.score([], "a", ["aa", "b", "c"], NOBODY)
    assert scores.argmax() == 0


async def test_the_digest_is_the_models(ranker):
    assert ranker.digest in ("d1", "")


async def test_the_score_of_a_candidate_does_not_depend_on_its_neighbours(ranker):
    if ranker.digest:
        alone = await ranker.score(KNOWN, "a", ["ab"], NOBODY)
        among = await ranker.score(KNOWN, "a", ["c", "ab", "b"], NOBODY)
        assert among[1] == pytest.approx(alone[0])
