from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.rerank.arrange import SPREAD, deterministic, marginals, plackett_luce


def enumerated(log_weights: np.ndarray) -> np.ndarray:
    """P(candidate i at position j) (n, n) by listing every order and its Plackett-Luce probability."""
    weights, n = np.exp(log_weights), len(log_weights)
    table = np.zeros((n, n))
    for order in itertools.permutations(range(n)):
        probability = np.prod([weights[i] / weights[list(order[j:])].sum() for j, i in enumerate(order)])
        for place, i in enumerate(order):
            table[i, place] += probability
    return table


scores = st.lists(st.floats(-40, 40), min_size=1, max_size=5).map(np.array)


@given(scores, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_propensities_equal_the_enumeration_of_all_orders(log_weights, random):
    order = np.array(random.sample(range(len(log_weights)), random.randint(1, len(log_weights))))
    exact = enumerated(log_weights)[order, np.arange(len(order))]
    assert np.allclose(marginals(log_weights, order), exact, rtol=1e-8, atol=0)


def test_the_logged_probability_is_the_marginal_and_not_the_one_given_the_places_above():
    log_weights = np.log([4.0, 2.0, 1.0])
    given_above = 2 / 3  # candidate 1 second, after candidate 0
    marginal = 4 / 7 * 2 / 3 + 1 / 7 * 2 / 6
    logged = marginals(log_weights, np.array([0, 1, 2]))[1]
    assert logged == pytest.approx(marginal, rel=1e-12)
    assert logged != pytest.approx(given_above, rel=1e-3)


def test_over_all_places_a_candidates_probabilities_sum_to_one_and_so_do_a_places():
    log_weights = np.random.default_rng(0).normal(size=7) * 3
    by_place = np.stack([marginals(log_weights, np.roll(np.arange(7), shift)) for shift in range(7)])
    # Row `shift` holds candidate (j - shift) mod 7 at place j: every candidate meets every place once.
    table = np.zeros((7, 7))
    for shift in range(7):
        table[np.roll(np.arange(7), shift), np.arange(7)] = by_place[shift]
    assert np.allclose(table.sum(0), 1, atol=1e-11)
    assert np.allclose(table.sum(1), 1, atol=1e-11)


def test_draws_stand_where_their_propensities_say():
    rng, scores, n = np.random.default_rng(1), np.array([1.0, 0.2, 0.0, -0.5]), 10_000
    exact = enumerated(scores / 0.7 - (scores / 0.7).max())
    seen = np.zeros((4, 3))
    for _ in range(n):
        noisy = scores / 0.7 + rng.gumbel(size=4)
        seen[np.argsort(-noisy)[:3], np.arange(3)] += 1
    assert np.abs(seen / n - exact[:, :3]).max() < 0.02
    drawn = plackett_luce(scores, 3, 0.7, np.random.default_rng(5))
    assert np.allclose(drawn.propensity, exact[list(drawn.order), range(3)], rtol=1e-9)


def test_an_inverse_propensity_estimate_recovers_another_rankings_clicks_u14():
    """Clicks by candidate and place are known; the estimate from drawn slates holds the truth, the plain mean not."""
    rng, scores = np.random.default_rng(2), np.array([0.8, 0.4, 0.0, -0.4, -0.8])
    rate = np.outer([0.1, 0.3, 0.5, 0.7, 0.9], [0.9, 0.5, 0.2])  # the ranker has it upside down
    target = [4, 3, 2]
    truth = sum(rate[i, j] for j, i in enumerate(target))
    weighted, plain = [], []
    for _ in range(1500):
        slate = plackett_luce(scores, 3, 1.0, rng)
        clicks = rng.random(3) < rate[list(slate.order), range(3)]
        hits = np.array(slate.order) == target
        weighted.append(float((hits * clicks / np.array(slate.propensity)).sum()))
        plain.append(float(clicks.sum()))
    error = 1.96 * np.std(weighted) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted) - truth) < error
    assert abs(np.mean(plain) - truth) > 3 * error


def test_every_candidate_can_stand_anywhere_however_low_its_score_f10():
    slate = plackett_luce(np.array([0.0, -1e6]), 2, 0.1, np.random.default_rng(0))
    assert min(marginals(np.array([0.0, -SPREAD]), np.array([1, 0]))) > 0
    assert all(0 < p <= 1 for p in slate.propensity)


def test_the_same_seed_draws_the_same_slate_and_another_another():
    scores = np.zeros(30)
    slates = [plackett_luce(scores, 30, 1.0, np.random.default_rng(seed)).order for seed in (1, 1, 2)]
    assert slates[0] == slates[1] != slates[2]


def test_temperature_zero_is_the_order_of_scores_with_ties_as_they_came():
    slate = deterministic(np.array([0.1, 0.9, 0.1, 0.5]), 3)
    assert slate.order == (1, 3, 0)
    assert slate.propensity == (1.0, 1.0, 1.0)


def test_a_low_temperature_tends_to_the_deterministic_order():
    scores = np.array([0.1, 0.9, 0.5])
    slate = plackett_luce(scores, 3, 0.01, np.random.default_rng(0))
    assert slate.order == deterministic(scores, 3).order
    assert np.allclose(slate.propensity, 1.0, atol=1e-9)
