"""evaluate/flips: as wide as Student's law needs, for one figure and for many, and the normal law's for many units."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.flips import errors, widest
from scipy.stats import norm, t


def parts(units: int, figures: int, seed: int = 0) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(units, figures))
    return made - made.mean(0)


def test_the_error_of_a_sum_is_that_of_the_mean_times_how_many() -> None:
    made = parts(30, 4)
    assert errors(made) == pytest.approx(made.std(0, ddof=1) * 30**0.5)


@pytest.mark.parametrize(("units", "law"), [(12, t(11)), (400, norm)])
def test_of_one_figure_it_is_students_quantile(units: int, law: object) -> None:
    found = [widest(parts(units, 1, seed), 0.95, np.random.default_rng(seed)) for seed in range(8)]
    assert np.mean(found) == pytest.approx(law.ppf(0.975), rel=0.03)


def test_of_many_figures_it_is_wider_and_a_copy_of_one_makes_it_no_wider() -> None:
    made = parts(100, 8)
    alone, together = (widest(each, 0.99, np.random.default_rng(1)) for each in (made[:, :1], made))
    # Eight independent ones, by the product of what each keeps within; Student's with 99 degrees.
    assert together == pytest.approx(t(99).ppf((1 + 0.99 ** (1 / 8)) / 2), rel=0.05)
    assert together > 1.2 * alone
    copied = widest(np.repeat(made[:, :1], 5, axis=1), 0.99, np.random.default_rng(1))
    assert copied == pytest.approx(alone, rel=1e-9)


def test_intervals_of_few_units_hold_together_as_often_as_they_say_and_normal_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    missed = np.zeros(2)
    for _ in range(400):
        drawn = rng.normal(size=(8, 5))
        far = np.abs(drawn.sum(0) / errors(drawn - drawn.mean(0))).max()
        wide = widest(drawn - drawn.mean(0), 0.9, rng, flips=199)
        missed += far > np.array([wide, norm.ppf((1 + 0.9 ** (1 / 5)) / 2)])
    assert missed[0] / 400 == pytest.approx(0.1, abs=0.045)
    assert missed[1] / 400 > 0.15


def test_figures_without_any_part_go_nowhere() -> None:
    assert widest(np.zeros((20, 3)), 0.99, np.random.default_rng(0)) == 0.0
    assert errors(np.zeros((1, 2))).tolist() == [0.0, 0.0]
