"""evaluate/measured: the interval decides, not the point."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.measured import Outcome, at_least, at_most, interval


def test_the_interval_and_not_the_value_has_to_clear_the_threshold() -> None:
    rng = np.random.default_rng(0)
    values = [1.0] * 110 + [0.0] * 90
    users = [str(i) for i in range(200)]
    assert at_least("m", values, users, 0.5, rng, min_n=200).outcome is Outcome.FAIL
    assert at_least("m", values, users, 0.4, rng, min_n=200).outcome is Outcome.PASS
    assert at_most("m", values, users, 0.6, rng, min_n=200).outcome is Outcome.FAIL


def test_turns_of_one_user_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    values = [float(i < 100) for i in range(200)]
    alone = interval(values, [str(i) for i in range(200)], rng)
    together = interval(values, [str(i // 20) for i in range(200)], rng)
    assert together[2] - together[1] > 2 * (alone[2] - alone[1])


def test_no_value_is_an_error_not_a_zero() -> None:
    """F08: missing is not zero."""
    with pytest.raises(ValueError, match="no value"):
        interval([], [], np.random.default_rng(0))
