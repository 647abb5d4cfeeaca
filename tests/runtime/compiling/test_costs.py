"""runtime/compiling/costs: what a variant is said to cost, on planted outputs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rejoinder.runtime.compiling.costs import Speed, exactness, quickest, speed

MASK = {"attention_mask": np.array([[1, 1, 0], [1, 1, 1]])}


def scores(*values):
    return [{"score": np.array(values, dtype=np.float32)}]


def test_the_same_outputs_cost_nothing():
    found = exactness(scores(1, 2, 4), scores(1, 2, 4), [MASK])
    assert (found.least, found.agreement, found.difference) == (pytest.approx(1), 1, 0)


def test_scores_are_compared_by_cosine_order_and_greatest_difference():
    found = exactness(scores(1, 2, 4), scores(1, 4, 3), [MASK])
    assert found.cosine["score"] == pytest.approx(21 / math.sqrt(21 * 26))
    assert found.agreement == pytest.approx(2 / 3)
    assert found.difference == pytest.approx(2 / np.std([1, 2, 4]))


def test_rows_that_fp32_does_not_tell_apart_have_no_order():
    assert exactness(scores(1, 1, 2), scores(1, 3, 4), [MASK]).agreement == 1


def test_embeddings_are_compared_by_who_is_nearer_to_whom():
    mine = [{"embedding": np.array([[1, 0], [0.9, 0.1], [0, 1]], dtype=np.float32)}]
    its = [{"embedding": np.array([[1, 0], [0, 1], [0.9, 0.1]], dtype=np.float32)}]
    found = exactness(mine, its, [MASK])
    assert found.agreement < 1
    assert exactness(mine, mine, [MASK]).agreement == 1


def test_what_padding_gives_does_not_count():
    mine = [{"tokens": np.ones((2, 3, 2)), "polarity": np.array([[0.2, 0.8], [0.9, 0.1]])}]
    its = [{"tokens": np.ones((2, 3, 2)), "polarity": np.array([[0.3, 0.7], [0.4, 0.6]])}]
    its[0]["tokens"][0, 2] = 99
    found = exactness(mine, its, [MASK])
    assert found.cosine["tokens"] == pytest.approx(1)
    assert found.agreement == 0.5
    its[0]["tokens"][0, 1] = 99
    assert exactness(mine, its, [MASK]).cosine["tokens"] < 0.9


class Graph:
    def __init__(self):
        self.passes = 0

    def infer(self, batch, left_s=None):
        self.passes += 1
        return {}


def test_speed_counts_real_tokens_and_not_the_first_pass():
    graph = Graph()
    found = speed(graph, 1, 2, [MASK], least_s=0.0)
    # Sixteen batches a pass fill two lanes.
    assert graph.passes == 3 * 16
    assert found.tokens_per_s > 0
    assert (found.threads, found.lanes) == (1, 2)


@pytest.mark.parametrize(("rates", "chosen"), [((100, 180, 300), 4), ((100, 80, 70), 1), ((100, 95, 80), 2)])
def test_the_quickest_is_taken_and_of_those_nearly_as_quick_the_one_that_answers_a_row_alone_soonest(rates, chosen):
    found = [Speed(threads, 4 // threads, rate, rate) for threads, rate in zip((1, 2, 4), rates, strict=True)]
    assert quickest(found).threads == chosen


def test_an_offset_does_not_hide_an_order_that_is_lost():
    """Logits around -8 have a cosine near 1 whatever their order."""
    draw = np.random.default_rng(0)
    mine = draw.normal(-6, 0.5, 200).astype(np.float32)
    its = mine + draw.normal(0, 0.25, 200).astype(np.float32)
    found = exactness([{"score": mine}], [{"score": its}], [MASK])
    assert found.cosine["score"] > 0.999
    assert found.least == found.correlation["score"] < 0.95


def test_values_without_a_spread_have_no_difference_in_it():
    found = exactness(scores(1, 1), scores(1, 2), [MASK])
    assert math.isnan(found.difference)
    assert math.isnan(found.agreement)
