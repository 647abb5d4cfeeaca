import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.errors import InvalidArgument
from rejoinder.rollout.counter import Drawn
from rejoinder.rollout.sample_ratio import LOG_SUSPEND, MOST_PROCESSES, CountedRatio, SampleRatio, discount


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


def counted(epoch: str, units: int, canary: int, w: float = 0.2) -> Drawn:
    return Drawn(epoch, "s", ((w, units, canary),))


def test_a_counter_that_loses_a_tenth_of_the_canarys_draws_is_seen_u16():
    draw = random.Random(3)
    fair, lossy = CountedRatio(), CountedRatio()
    whole, lost = [0, 0], [0, 0]
    for i in range(1, 14_001):
        canary = draw.random() < 0.2
        whole = [whole[0] + 1, whole[1] + canary]
        if not canary or draw.random() > 0.1:
            lost = [lost[0] + 1, lost[1] + canary]
        if i % 100 == 0:
            fair.take(counted("e", *whole))
            lossy.take(counted("e", *lost))
    assert not fair.suspends
    assert lossy.suspends


def test_the_same_totals_again_say_nothing_and_a_lower_total_takes_nothing_back():
    ratio = CountedRatio()
    assert ratio.take(counted("e", 100, 20))
    before = ratio.as_dict()
    assert not ratio.take(counted("e", 100, 20))
    assert not ratio.take(counted("e", 90, 20))
    assert not ratio.take(counted("e", 110, 40))
    assert not ratio.take(counted("e", 10, 5, w=1.0))
    assert not ratio.take(Drawn("silent", "s"))
    assert ratio.as_dict() == before


def test_users_whom_every_replica_meets_are_no_imbalance_though_their_sum_would_be():
    """The control: one process that is fed the sum counts each user four times, and suspends fair rollouts."""
    summed, alone = 0, 0
    for seed in range(150):
        draw = random.Random(seed)
        arms = [draw.random() < 0.2 for _ in range(1500)]
        one, each, canary = SampleRatio(), CountedRatio(), [0, 0, 0, 0]
        orders = [draw.sample(arms, len(arms)) for _ in canary]
        for at in range(0, len(arms), 300):
            new = [sum(order[at : at + 300]) for order in orders]
            one.add(0.2, 300 * len(orders), sum(new))
            for k, more in enumerate(new):
                canary[k] += more
                each.take(counted(str(k), at + 300, canary[k]))
        summed += one.suspends
        alone += each.suspends
    assert alone == 0
    assert summed >= 3


def test_a_restart_counts_anew_under_its_own_part_of_the_error():
    ratio = CountedRatio()
    ratio.take(counted("one", 1000, 200))
    assert ratio.take(counted("two", 10, 2))
    assert ratio.counts == {0.2: (1010, 202)}
    assert not ratio.take(counted("one", 1000, 200))
    parts = [1 / math.exp(discount(k)) for k in range(1, 2000)]
    assert sum(parts) == pytest.approx(1.0, abs=1e-3)


def test_any_number_of_restarts_is_remembered_in_bounded_space_and_the_alarm_stays():
    ratio = CountedRatio()
    ratio.take(counted("broken", 2000, 100))
    assert ratio.suspends
    for i in range(200):
        ratio.take(counted(f"e{i}", 1, 0))
        ratio.take(counted("steady", 500 + i, 100))
    state = ratio.as_dict()
    assert len(state["processes"]) == MOST_PROCESSES
    assert "steady" in {epoch for epoch, *_ in state["processes"]}
    assert ratio.suspends
    assert CountedRatio.from_dict(json.loads(json.dumps(state))).as_dict() == state
