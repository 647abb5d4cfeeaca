import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.sample_ratio import LOG_SUSPEND, SampleRatio


def product(arms: list[bool], w: float) -> float:
    """The formula, unit by unit."""
    log, n, canary = 0.0, 0, 0
    for a in arms:
        q = (canary + 200 * w) / (n + 200)
        log += math.log(q / w if a else (1 - q) / (1 - w))
        n, canary = n + 1, canary + a
    return log


@given(st.lists(st.booleans(), max_size=300), st.floats(0.02, 0.98))
@settings(max_examples=60, deadline=None)
def test_the_closed_form_is_the_product_unit_by_unit(arms, w):
    ratio = SampleRatio()
    for a in arms:
        ratio.add(w, 1, int(a))
    assert ratio.log_e == pytest.approx(product(arms, w), abs=1e-9)


def test_a_counters_increments_may_come_in_any_portions():
    whole, parts = SampleRatio(), SampleRatio()
    whole.add(0.2, 1000, 230)
    for n, c in ((1, 0), (700, 130), (299, 100)):
        parts.add(0.2, n, c)
    assert parts.log_e == whole.log_e


def test_a_fair_split_rarely_suspends_and_a_lossy_hop_does_u16():
    draw = random.Random(1)
    fair, lossy = SampleRatio(), SampleRatio()
    for _ in range(20_000):
        a = draw.random() < 0.2
        fair.add(0.2, 1, int(a))
        if not a or draw.random() > 0.15:
            lossy.add(0.2, 1, int(a))
    assert not fair.suspends
    assert lossy.suspends


def test_a_ramp_is_no_imbalance_and_does_not_put_the_test_to_sleep():
    ratio = SampleRatio()
    for w in (0.05, 0.2, 0.5):
        ratio.add(w, 4000, int(4000 * w))
    assert not ratio.suspends
    ratio.add(0.5, 4000, 1700)
    assert ratio.suspends


def test_once_suspended_stays_suspended():
    ratio = SampleRatio()
    ratio.add(0.5, 1000, 400)
    assert ratio.peak >= LOG_SUSPEND
    ratio.add(0.5, 1000, 600)
    assert ratio.log_e < LOG_SUSPEND
    assert ratio.suspends


def test_a_state_that_went_through_json_is_the_same():
    ratio = SampleRatio()
    ratio.add(0.05, 500, 31)
    ratio.add(0.2, 500, 99)
    again = SampleRatio.from_dict(json.loads(json.dumps(ratio.as_dict())))
    assert (again.log_e, again.peak, again.counts) == (ratio.log_e, ratio.peak, ratio.counts)


@pytest.mark.parametrize("wrong", [(0.0, 1, 0), (1.0, 1, 1), (math.nan, 1, 0), (0.5, 1, 2), (0.5, 1, -1)])
def test_what_cannot_be_counted_is_refused(wrong):
    with pytest.raises(InvalidArgument):
        SampleRatio().add(*wrong)
