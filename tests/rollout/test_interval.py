import json
import math
import random

import pytest
from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.interval import GRID, Interval
from rejoinder.rollout.sequential import SequentialTest


def coins(n: int, stable: float, canary: float, seed: int, w: float = 0.5):
    draw = random.Random(seed)
    for _ in range(n):
        a = draw.random() < w
        yield float(draw.random() < (canary if a else stable)), a, w


def fed(stream) -> Interval:
    interval = Interval(0.7)
    for unit in stream:
        interval.add(*unit)
    return interval


def test_it_starts_knowing_nothing_and_only_ever_narrows():
    interval, seen = Interval(0.7), [(-1.0, 1.0)]
    for unit in coins(600, 0.8, 0.6, 2):
        interval.add(*unit)
        assert seen[-1][0] <= interval.low <= interval.high <= seen[-1][1]
        seen.append((interval.low, interval.high))
    assert seen[-1] != (-1.0, 1.0)


def test_it_holds_the_true_difference_at_every_look():
    """30 runs at 5 %: at most 1.5 + three standard errors may miss it at any time."""
    missed = 0
    for seed in range(30):
        interval = fed(coins(250, 0.7, 0.6, seed))
        missed += not interval.low <= -0.1 <= interval.high
    assert missed <= 30 * 0.05 + 3 * math.sqrt(30 * 0.05 * 0.95)


def test_a_large_harm_pushes_the_upper_bound_below_zero_and_turned_over_the_lower_above():
    harm = fed(coins(1200, 0.8, 0.5, 4))
    gain = fed([(1 - y, a, w) for y, a, w in coins(1200, 0.8, 0.5, 4)])
    assert harm.high < 0
    assert gain.low > 0


def test_it_is_the_non_inferiority_test_inverted():
    """At the margin's own point of the grid the interval's wealth is the test's."""
    stream = list(coins(200, 0.7, 0.75, 9))
    test = SequentialTest(0.7, margin=0.05)
    for unit in stream:
        test.add(*unit)
    wealth = fed(stream).as_dict()["below"][GRID.index(-0.05)]
    assert wealth == pytest.approx(test.not_worse.logs, abs=1e-12)


def test_a_state_that_went_through_json_goes_on_bit_equal():
    stream = list(coins(120, 0.8, 0.6, 3))
    resumed = Interval.from_dict(json.loads(json.dumps(fed(stream[:60]).as_dict())))
    for unit in stream[60:]:
        resumed.add(*unit)
    assert resumed.as_dict() == fed(stream).as_dict()


def test_nan_is_refused():
    with pytest.raises(InvalidArgument):
        Interval(0.7).add(math.nan, True, 0.5)
