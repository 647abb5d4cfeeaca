import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.sequential import DELTAS, LAMBDAS, Moments, SequentialTest

STREAM = st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.01, 0.99)), max_size=40)


def fed(stream, base: float = 0.7, margin: float = 0.05) -> SequentialTest:
    test = SequentialTest(base, margin)
    for unit in stream:
        test.add(*unit)
    return test


def coins(n: int, w: float, stable: float, canary: float, seed: int):
    draw = random.Random(seed)
    for _ in range(n):
        a = draw.random() < w
        yield float(draw.random() < (canary if a else stable)), a, w


def test_one_unit_gives_the_factors_of_the_formula():
    test = fed([(0.0, True, 0.2)])
    m, v = 0.7, 0.21
    clip = 0.9 * v / (m * 0.8)
    worse = sum(1 + min(d, clip) * (0.2 - 1) * (0 - m) / v for d in DELTAS) / len(DELTAS)
    gap = (0 - m) / 0.2 + 0.05
    not_worse = sum(1 + 0.95 * lam * gap / (m / 0.2) for lam in LAMBDAS) / len(LAMBDAS)
    assert math.exp(test.worse.log_e) == pytest.approx(worse, rel=1e-12)
    assert math.exp(test.not_worse.log_e) == pytest.approx(not_worse, rel=1e-12)
    assert test.better.log_e < 0 < test.worse.log_e


def test_the_second_unit_is_bet_on_with_the_mean_and_variance_that_the_first_left():
    first, both = fed([(1.0, False, 0.5)], base=0.5), fed([(1.0, False, 0.5), (0.0, True, 0.5)], base=0.5)
    m, v = 2 / 3, 2 / 3 - 4 / 9
    clip = 0.9 * v / (m * 0.5)
    steps = [math.log1p(min(d, clip) * (0.5 - 1) * (0 - m) / v) for d in DELTAS]
    assert both.worse.logs == pytest.approx([a + b for a, b in zip(first.worse.logs, steps, strict=True)], rel=1e-12)


def test_moments_are_those_of_earlier_scores_with_two_pseudo_units():
    moments = Moments(0.5)
    assert (moments.mean, moments.variance) == (0.5, 0.25)
    moments.add(1.0)
    assert moments.mean == pytest.approx(2 / 3)
    assert moments.variance == pytest.approx(2 / 3 - 4 / 9)


def test_the_variance_has_a_floor():
    moments = Moments(1.0)
    moments.add(1.0)
    assert moments.variance == 0.02


def test_every_bet_is_made_before_its_draw():
    """Where the score does not depend on the arm, the factor's mean over the arm is 1."""
    for w in (0.05, 0.2, 0.5, 0.9):
        for score in (0.0, 0.3, 1.0):
            for name in ("worse", "better"):
                past = [(0.2, True, 0.4), (0.9, False, 0.4)]
                arms = [math.exp(getattr(fed([*past, (score, a, w)]), name).log_e) for a in (True, False)]
                before = math.exp(getattr(fed(past), name).log_e)
                assert w * arms[0] + (1 - w) * arms[1] == pytest.approx(before, rel=1e-9)


@given(STREAM)
@settings(max_examples=60, deadline=None)
def test_wealth_stays_positive_and_finite_on_any_stream(stream):
    test = fed(stream)
    for wealth in (test.worse, test.better, test.not_worse):
        assert all(math.isfinite(log) for log in wealth.logs)
        assert wealth.peak >= wealth.log_e or wealth.peak == 0.0


@given(STREAM, STREAM)
@settings(max_examples=40, deadline=None)
def test_a_state_that_went_through_json_goes_on_bit_equal(before, after):
    straight = fed([*before, *after])
    resumed = SequentialTest.from_dict(json.loads(json.dumps(fed(before).as_dict())))
    for unit in after:
        resumed.add(*unit)
    assert resumed.as_dict() == straight.as_dict()


@pytest.mark.parametrize("score", [math.nan, -0.01, 1.01, math.inf])
def test_a_score_that_is_none_is_refused_and_counts_for_nothing_f08(score):
    test = fed([(0.5, True, 0.5)])
    before = test.as_dict()
    with pytest.raises(InvalidArgument):
        test.add(score, True, 0.5)
    assert test.as_dict() == before


@pytest.mark.parametrize("weight", [0.0, 1.0, math.nan, -0.1])
def test_a_weight_of_zero_or_one_is_refused(weight):
    with pytest.raises(InvalidArgument):
        SequentialTest(0.7).add(0.5, True, weight)


@pytest.mark.parametrize("w", [0.1, 0.5])
def test_villes_bound_holds_under_peeking_at_every_unit_u06(w):
    """200 A/A runs of 300 units: at most 5 % ever reach 20, three standard errors allowed (.096)."""
    fired = sum(fed(coins(300, w, 0.7, 0.7, seed)).worse.peak >= math.log(20) for seed in range(200))
    assert fired / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)


def test_villes_bound_fails_for_a_bet_that_looks_at_its_own_draw():
    """The control: betting with the mean that already holds this unit's arm mean cries wolf."""
    fired = 0
    for seed in range(100):
        log = 0.0
        sums = {True: [0.0, 0], False: [0.0, 0]}
        for y, a, w in coins(400, 0.5, 0.7, 0.7, seed):
            sums[a][0] += y
            sums[a][1] += 1
            ahead = sums[False][0] / max(sums[False][1], 1) - sums[True][0] / max(sums[True][1], 1)
            log += math.log1p(0.8 * math.copysign(1, ahead) * (w - a) * (y - 0.7))
            if log >= math.log(20):
                fired += 1
                break
    assert fired / 100 > 0.10


def test_non_inferiority_is_not_shown_for_a_version_at_the_margin():
    fired = sum(fed(coins(400, 0.5, 0.7, 0.65, seed)).not_worse.peak >= math.log(20) for seed in range(150))
    assert fired / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)


def test_a_clear_harm_is_caught_and_a_clear_gain_is_shown():
    harm, gain = fed(coins(1500, 0.5, 0.8, 0.6, 1)), fed(coins(1500, 0.5, 0.6, 0.8, 1))
    assert harm.worse.log_e > math.log(20) > harm.not_worse.log_e
    assert gain.better.log_e > math.log(20)
    assert gain.not_worse.log_e > math.log(20)


def test_worse_and_better_change_places_when_the_scores_are_turned_over():
    stream = list(coins(300, 0.3, 0.7, 0.6, 5))
    turned = fed([(1 - y, a, w) for y, a, w in stream], base=0.3)
    assert turned.better.log_e == pytest.approx(fed(stream).worse.log_e, abs=1e-9)


def test_a_drifting_base_rate_and_weight_do_not_break_the_bound():
    draw, fired = random.Random(3), 0
    for _ in range(150):
        test = SequentialTest(0.7)
        for t in range(300):
            w = (0.05, 0.2, 0.5)[t * 3 // 300]
            test.add(float(draw.random() < 0.7 + 0.2 * math.sin(t / 60)), draw.random() < w, w)
        fired += test.worse.peak >= math.log(20)
    assert fired / 150 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 150)
