"""core/buckets: what a name may take, and how many names are remembered."""

from __future__ import annotations

import random

import pytest
from rejoinder.core.buckets import Buckets


def test_a_full_bucket_is_the_burst_and_then_the_rate_holds() -> None:
    buckets = Buckets(per_s=2.0, burst_s=3.0, most=10)
    taken = 0
    for tick in range(10_000):
        now = tick / 100
        if not buckets.wait_s("a", now):
            buckets.take("a", 1, now)
            taken += 1
    # 100 seconds less a tick, two a second, and the six of the beginning.
    assert taken == pytest.approx(206, abs=1)


def test_after_the_wait_that_was_told_something_may_be_taken_and_not_before() -> None:
    rng = random.Random(7)
    for _ in range(1_000):
        per_s, now = rng.uniform(0.001, 1e4), rng.uniform(0, 1e6)
        buckets = Buckets(per_s, burst_s=0.0, most=10)
        buckets.take("a", rng.randint(1, 50), now)
        wait = buckets.wait_s("a", now)
        assert wait > 0
        assert buckets.wait_s("a", now + wait * 0.99) > 0
        assert buckets.wait_s("a", now + wait) == 0


def test_of_very_many_names_the_longest_unused_are_forgotten() -> None:
    buckets = Buckets(per_s=1e-6, burst_s=0.0, most=1_000)
    for number in range(100_000):
        buckets.take(f"caller {number}", 1, 0.0)
        buckets.take("busy", 1, 0.0)
    assert len(buckets) == 1_000
    assert buckets.wait_s("busy", 0.0) > 0
    assert buckets.wait_s("caller 99999", 0.0) > 0
    assert buckets.wait_s("caller 7", 0.0) == 0, "who was forgotten begins anew"
