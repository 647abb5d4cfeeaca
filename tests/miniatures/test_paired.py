"""The check itself: it needs seeds enough, finite values and an interval that clears the floor."""

import numpy as np
import pytest
from scipy import stats

from tests.miniatures.paired import exceeds, interval, shown


def test_the_interval_is_students():
    values = np.array([1.0, 2.0, 4.0, 3.0, 5.0, 0.0, 2.5, 1.5])
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = interval(values)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_mean_above_the_floor_is_not_enough():
    values = [0.0, 0.2] * 4
    assert not exceeds("wide", values, 0.05).holds
    assert exceeds("narrow", [0.09, 0.11] * 4, 0.05).holds


def test_one_claim_that_fails_fails_the_row():
    good, bad = exceeds("good", [1.0, 1.1] * 4, 0.0), exceeds("bad", [-1.0, 1.0] * 4, 0.0)
    assert shown([good, good])
    assert not shown([good, bad])


@pytest.mark.parametrize("values", [[1.0] * 7, [1.0] * 7 + [float("nan")]])
def test_too_few_seeds_and_missing_values_are_refused(values):
    with pytest.raises(ValueError, match="seed"):
        interval(values)
