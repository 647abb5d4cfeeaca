"""evaluate/kendall: tau-b against scipy and by hand, and what a draw holds."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.kendall import influence, rank_agreement, resampled, tau_b
from scipy.stats import kendalltau


def both_orders(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, -values])


@pytest.mark.parametrize("choices", [(1, 1), (-1, 2), (-1, 0, 1)])
@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_it_is_scipys_of_both_orders_with_ties_in_either(levels: int, choices: tuple[int, ...]) -> None:
    rng = np.random.default_rng(levels)
    differences = rng.integers(-levels, levels + 1, 60) / 7
    chosen = rng.choice(choices, 60).astype(float)
    found = tau_b(differences, chosen)[0]
    assert found == pytest.approx(
        kendalltau(both_orders(differences), both_orders(np.sign(chosen))).statistic, abs=1e-12
    )


def test_weights_are_the_pairs_said_as_often() -> None:
    rng = np.random.default_rng(1)
    differences, chosen = rng.integers(-3, 4, 30).astype(float), rng.choice((-1.0, 0.0, 1.0), 30)
    weights = rng.integers(0, 4, (5, 30)).astype(float)
    for row, found in zip(weights.astype(int), tau_b(differences, chosen, weights), strict=True):
        said = tau_b(np.repeat(differences, row), np.repeat(chosen, row))[0]
        assert found == pytest.approx(said, abs=1e-12)


def test_pairs_that_alone_decide_have_what_a_bit_can_have() -> None:
    differences = np.arange(1.0, 2001.0)
    assert tau_b(differences, np.ones(2000))[0] == pytest.approx(0.5**0.5, abs=1e-3)
    assert tau_b(np.array([1.0, -1.0]), np.array([1.0, -1.0]))[0] == 1.0


def test_exchanging_a_pairs_answers_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    differences, chosen, signs = rng.normal(size=40), rng.choice((-1.0, 1.0), 40), rng.choice((-1.0, 1.0), 40)
    assert tau_b(differences, chosen)[0] == pytest.approx(tau_b(signs * differences, signs * chosen)[0], abs=1e-12)


def test_what_never_varies_has_no_tau() -> None:
    assert np.isnan(tau_b(np.zeros(5), np.ones(5))[0])
    assert np.isnan(tau_b(np.ones(5), np.zeros(5))[0])
    assert np.isnan(tau_b(np.zeros(0), np.zeros(0))[0])


def test_blocks_of_draws_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    differences, weights = rng.normal(size=10), rng.integers(1, 3, (7, 10)).astype(float)
    whole = tau_b(differences, np.ones(10), weights)
    monkeypatch.setattr("rejoinder.evaluate.kendall._BLOCK", 40)
    assert tau_b(differences, np.ones(10), weights) == pytest.approx(whole)


def test_rank_agreement_is_scipys() -> None:
    rng = np.random.default_rng(4)
    one, two = rng.integers(0, 5, (6, 8)).astype(float), rng.normal(size=(6, 8))
    for found, a, b in zip(rank_agreement(one, two), one, two, strict=True):
        assert found == pytest.approx(kendalltau(a, b).statistic, abs=1e-12)


def test_a_draw_has_as_many_users_each_with_all_their_pairs() -> None:
    found = resampled(["u", "v", "u", "w"], 200, np.random.default_rng(5))
    assert (found[:, 0] == found[:, 2]).all()
    assert (found[:, [0, 1, 3]].sum(1) == 3).all()
    assert found.mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("levels", [2, 1000])
@pytest.mark.parametrize("choices", [(-1.0, 1.0), (-1.0, 0.0, 1.0)])
def test_influence_is_the_slope_of_tau_in_each_pairs_weight(levels: int, choices: tuple[float, ...]) -> None:
    """By another route: weights one after the other a little larger and smaller."""
    rng = np.random.default_rng(levels)
    differences, chosen = rng.integers(-levels, levels + 1, 40) / 7, rng.choice(choices, 40)
    step = 1e-4 * np.eye(40)
    slopes = (tau_b(differences, chosen, 1 + step) - tau_b(differences, chosen, 1 - step)) / 2e-4
    found = influence(differences, chosen)
    assert found == pytest.approx(slopes, abs=1e-8)
    assert found.sum() == pytest.approx(0.0, abs=1e-12)


def test_influence_of_what_never_varies_is_unknown() -> None:
    assert np.isnan(influence(np.zeros(5), np.ones(5))).all()
    assert np.isnan(influence(np.ones(5), np.zeros(5))).all()
