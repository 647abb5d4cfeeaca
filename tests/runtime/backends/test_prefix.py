"""runtime/backends/prefix: texts that begin alike, beside each of them read from its beginning."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.prefix import PrefixReader
from rejoinder.runtime.backends.rows import BASE

from tests.tinypolicy import tiny_policy


class Counting(Decoder):
    """owns: how many tokens were read."""

    tokens = 0

    def read(self, cache, slot, tokens, past, adapter):
        self.tokens += len(tokens)
        return super().read(cache, slot, tokens, past, adapter)


@pytest.fixture
def decoder():
    return Counting(tiny_policy() / "export", 1)


def drawn(seed: int, count: int) -> list[int]:
    return np.random.default_rng(seed).integers(3, 390, count).tolist()


def alone(decoder: Decoder, row: list[int]) -> np.ndarray:
    return np.array(decoder.read(decoder.cache(1, len(row)), 0, row, 0, BASE)[-1])


def test_each_answer_has_the_value_that_its_whole_row_has(decoder):
    context, answers = drawn(0, 300), [drawn(seed, 1 + 9 * seed) for seed in range(1, 5)]
    found = PrefixReader(decoder).values(context, answers)
    expected = np.stack([alone(decoder, context + answer) for answer in answers])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_context_is_read_once_and_what_the_next_one_shares_with_it_not_again(decoder):
    reader, context = PrefixReader(decoder), drawn(0, 100)
    reader.values(context, [[5, 6], [7]])
    assert decoder.tokens == 103
    reader.values(context, [[8]])
    assert decoder.tokens == 104
    longer = context[:60] + drawn(9, 80)
    found = reader.values(longer, [[9]])
    assert decoder.tokens == 104 + 80 + 1
    np.testing.assert_allclose(found[0], alone(decoder, [*longer, 9]), atol=1e-4)
    reader.values(drawn(3, 30), [[9]])
    assert decoder.tokens == 185 + 141 + 31
