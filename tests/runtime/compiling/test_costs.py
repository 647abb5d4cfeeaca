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
    found = speed(graph, 1, [MASK], least_s=0.0)
    assert graph.passes == 3
    assert found.tokens_per_s > 0
    assert found.threads == 1


@pytest.mark.parametrize(("rates", "chosen"), [((100, 180, 300), 4), ((100, 110, 120), 1), ((100, 180, 190), 2)])
def test_threads_are_taken_while_a_doubling_is_worth_it(rates, chosen):
    found = [Speed(threads, rate, rate) for threads, rate in zip((1, 2, 4), rates, strict=True)]
    assert quickest(found).threads == chosen
