from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.types import Message, Role
from rejoinder.rerank.rankers.cosine import Cosine, CosineParams
from rejoinder.runtime.batching.textmodel import NOBODY, Words

AXES = {"q": [1.0, 0.0], "near": [0.8, 0.6], "far": [0.0, 1.0], "likes far": [0.0, 1.0]}
WORDS = Words(lambda texts: [[list(AXES).index(text)] for text in texts], 101, 102)


class Axes:
    """A text model that knows the unit vectors of AXES."""

    digest = "d1"
    facts = {"budget": 10}  # noqa: RUF012

    async def infer(self, rows, output, caller):
        assert output == "embedding"
        return np.array([list(AXES.values())[row.ids[1]] for row in rows(WORDS)])


async def score(known, share=0.2):
    return (await Cosine(Axes(), CosineParams(share)).score(known, "q", ["near", "far"], NOBODY)).tolist()


async def test_without_context_it_is_the_dot_product_of_unit_vectors():
    assert await score([]) == pytest.approx([0.8, 0.0])


async def test_what_is_known_of_the_user_takes_its_share():
    known = [Message(Role.USER, "likes far")]
    assert await score(known, 0.25) == pytest.approx([0.75 * 0.8 + 0.25 * 0.6, 0.25])
    assert await score(known, 0.0) == pytest.approx([0.8, 0.0])
