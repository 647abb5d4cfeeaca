"""Bins of confidence: as many labels each, the share that was right, and an interval that knows the weights."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.reliability import reliability


def test_a_calibrated_reader_lies_within_its_intervals_and_a_boaster_does_not() -> None:
    rng = np.random.default_rng(0)
    said = rng.uniform(0.4, 1.0, 4_000)
    honest = reliability(said, rng.random(4_000) < said, np.ones(4_000))
    boaster = reliability(said, rng.random(4_000) < said - 0.2, np.ones(4_000))
    assert [b.n for b in honest] == [400] * 10
    assert sum(b.low <= b.said <= b.high for b in honest) >= 9
    assert not any(b.low <= b.said <= b.high for b in boaster)


def test_weights_move_the_share_and_widen_the_interval() -> None:
    said, right = [0.5] * 30, [True] * 15 + [False] * 15
    (even,) = reliability(said, right, [1.0] * 30)
    (skewed,) = reliability(said, right, [9.0] + [1.0] * 29)
    assert (even.value, even.n) == (0.5, 30)
    assert skewed.value == pytest.approx(23 / 38)
    assert skewed.high - skewed.low > even.high - even.low


def test_labels_of_one_confidence_stay_together_and_none_make_no_bin() -> None:
    assert [b.n for b in reliability([0.6] * 70 + [0.9] * 10, [True] * 80, [1.0] * 80)] == [70, 10]
    assert reliability([], [], []) == []
