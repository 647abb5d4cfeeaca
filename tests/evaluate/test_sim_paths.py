import math

import numpy as np
import pytest
from rejoinder.evaluate.sim_paths import (
    World,
    bets,
    draw,
    log_mean,
    log_not_worse,
    log_sample_ratio,
    log_worse,
    reached,
)
from rejoinder.rollout.sample_ratio import SampleRatio
from rejoinder.rollout.sequential import SequentialTest


@pytest.mark.parametrize("seed", range(4))
def test_the_paths_are_the_live_processes_to_one_part_in_a_billion(seed):
    rng = np.random.default_rng(seed)
    shape = (3, 150)
    y, used = rng.random(shape), (rng.random(shape) < 0.6).astype(float)
    w, margin = rng.uniform(0.02, 0.98, shape), rng.uniform(0.0, 0.1, shape)
    a = (rng.random(shape) < w).astype(float)
    b = bets(y, a, w, 0.7, margin, used)
    paths = {
        "worse": log_mean(log_worse(b)),
        "better": log_mean(log_worse(b, -1.0)),
        "not_worse": log_mean(log_not_worse(b)),
    }
    for run in range(shape[0]):
        live = SequentialTest(0.7)
        for t in range(shape[1]):
            if used[run, t]:
                live.add(y[run, t], bool(a[run, t]), w[run, t], margin[run, t])
            for name, path in paths.items():
                assert getattr(live, name).log_e == pytest.approx(path[run, t], abs=1e-9)


def test_the_sample_ratio_path_is_the_live_one():
    a = (np.random.default_rng(0).random((1, 400)) < 0.3).astype(float)
    path, live = log_sample_ratio(a, 0.3), SampleRatio()
    for t in range(400):
        live.add(0.3, 1, int(a[0, t]))
        assert live.log_e == pytest.approx(path[0, t], abs=1e-9)


def test_runs_that_cannot_reach_the_threshold_are_skipped_without_a_difference():
    rng = np.random.default_rng(1)
    parts = [np.cumsum(rng.normal(0, 0.4, (50, 60)), 1) for _ in range(3)]
    found = reached(parts, 3.0)
    assert (found == (log_mean(parts) >= 3.0)).all()
    assert found.any()
    assert not found.any(1).all()


def test_users_have_the_rates_the_correlation_and_the_silence_that_were_asked_for():
    world = World(base=0.7, effect=-0.1, turns=4, icc=0.25, replies=(0.4, 0.7), canary_replies=(0.4, 0.3), window=1e9)
    users = draw(world, np.full(4000, 0.3), 10, np.random.default_rng(2))
    canary = users.a > 0
    assert users.a.mean() == pytest.approx(0.3, abs=0.01)
    assert users.labels[0][~canary].mean() == pytest.approx(0.7, abs=0.01)
    assert users.labels[0][canary].mean() == pytest.approx(0.6, abs=0.015)
    pair = np.corrcoef(users.labels[0][~canary], users.labels[1][~canary])[0, 1]
    assert pair == pytest.approx(0.25, abs=0.03)
    displeased = users.labels[0] == 0
    assert users.seen[0][displeased & canary].mean() == pytest.approx(0.3, abs=0.02)
    assert users.seen[0][displeased & ~canary].mean() == pytest.approx(0.7, abs=0.02)


def test_a_reply_after_the_window_is_no_reply():
    world = World(replies=(1.0, 1.0), window=8.0, delay=8.0)
    users = draw(world, np.full(5000, 0.5), 2, np.random.default_rng(3))
    assert users.replied.mean() == pytest.approx(1 - math.exp(-1), abs=0.02)


def test_a_noisy_judge_pulls_both_rates_towards_a_half():
    users = draw(World(base=0.8, truth=0.85), np.full(20_000, 0.5), 1, np.random.default_rng(4))
    assert users.labels[0].mean() == pytest.approx(0.8 * 0.85 + 0.2 * 0.15, abs=0.01)
