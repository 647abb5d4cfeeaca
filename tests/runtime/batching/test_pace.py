from __future__ import annotations

import random

import pytest
from rejoinder.runtime.batching.pace import Pace


def begun() -> Pace:
    """Its first batch, which counts for nothing, has run."""
    pace = Pace()
    pace.ran(1, 1, 60.0)
    return pace


def ran(*batches: tuple[int, float], times: int = 20) -> Pace:
    pace = begun()
    for _ in range(times):
        for padded, seconds in batches:
            pace.ran(padded, padded, seconds)
    return pace


def test_a_fixed_and_a_token_cost_are_found_from_batches_of_different_sizes():
    pace = ran(*((size, 0.002 + 0.0001 * size) for size in (10, 80, 384)))
    assert pace.batch_s(200) == pytest.approx(0.022)
    assert pace.batch_s(0) == pytest.approx(0.002)
    # Ten batches and a bit, the last not full; then as many as the row limit makes of short rows.
    assert pace.queue_s(40, 3850, max_rows=64, max_tokens=384) == pytest.approx(11 * 0.002 + 0.385)
    assert pace.queue_s(600, 1280, max_rows=64, max_tokens=384) == pytest.approx(10 * 0.002 + 0.128)


def test_padding_of_late_is_part_of_what_a_queue_costs():
    pace = begun()
    for padded, tokens in ((100, 50), (300, 150), (200, 100)):
        pace.ran(tokens, padded, padded / 1000)
    assert pace.queue_s(10, 100, max_rows=64, max_tokens=400) == pytest.approx(0.2)


def test_before_sizes_differ_a_batch_is_taken_to_last_as_long_as_those_seen():
    assert Pace().batch_s(384) == 0.0
    assert Pace().queue_s(100, 10_000, 64, 384) == 0.0
    # The first of all built its kernels for a minute.
    assert begun().batch_s(384) == 0.0
    warm = ran((2, 0.003), times=1)
    assert warm.batch_s(384) == 0.003
    assert warm.queue_s(100, 3840, 64, 384) == pytest.approx(10 * 0.003)


def test_a_model_that_becomes_slower_is_noticed_and_noise_never_makes_a_cost_negative():
    pace = ran((100, 0.1), (300, 0.3), times=50)
    for _ in range(50):
        pace.ran(100, 100, 0.2)
        pace.ran(300, 300, 0.6)
    assert pace.batch_s(200) > 0.35
    draw = random.Random(4)
    noisy = begun()
    for _ in range(200):
        noisy.ran(10, draw.randrange(10, 400), draw.random())
        assert noisy.batch_s(1) >= 0
        assert noisy.batch_s(400) >= noisy.batch_s(1)


def test_a_machine_that_stood_still_is_no_slow_model_and_a_model_that_is_slow_now_is_known_in_time():
    pace = ran(*((size, 0.002 + 0.0001 * size) for size in (10, 80, 384)))
    pace.ran(384, 384, 60.0)
    assert pace.batch_s(384) < 0.06
    for _ in range(40):
        pace.ran(200, 200, 0.22)
    assert pace.batch_s(200) > 0.11


def test_a_pace_that_was_nothing_can_be_learned():
    pace = ran((100, 0.0))
    for _ in range(300):
        pace.ran(100, 100, 1.0)
    assert pace.batch_s(100) > 0.5
