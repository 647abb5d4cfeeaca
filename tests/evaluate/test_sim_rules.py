import numpy as np
import pytest
from rejoinder.evaluate import sim_rollout, sim_rules
from rejoinder.evaluate.sim_paths import Users, World, draw


def users(a: list[float], y: list[float]) -> Users:
    arms, scores = np.array([a]), np.array([y])
    ones = np.ones_like(arms)
    return Users(arms, ones * 0.5, ones, scores, scores, 1 - scores, ones, scores[None], ones[None])


def test_flagger_rolls_back_at_the_fifth_failed_check_and_never_resets_its_count():
    failed, passed = [0.0, 0.0], [1.0, 1.0]
    y = 4 * failed + 3 * passed + failed + passed
    hits = sim_rules.flagger(users([1.0] * len(y), y), base=0.8, per_check=2)[0]
    assert hits.tolist() == [False] * 15 + [True] * 3


def test_flagger_looks_at_the_canary_alone():
    hits = sim_rules.flagger(users([1.0] * 20 + [0.0] * 40, [1.0] * 20 + [0.0] * 40), base=0.8, per_check=2)
    assert not hits.any()


def test_the_z_score_is_that_of_the_pooled_two_sample_test():
    a, y = [1.0, 0.0] * 50, ([1.0, 1.0, 0.0, 1.0] * 25)
    z, least = sim_rules.z_score(users(a, y))
    pooled = 0.75
    assert z[0, -1] == pytest.approx((1.0 - 0.5) / np.sqrt(pooled * 0.25 * (2 / 50)))
    assert least[0, -1] == 50


def test_the_peeked_test_waits_for_thirty_an_arm():
    a, y = [1.0, 0.0] * 60, [0.0, 1.0] * 60
    assert sim_rules.peeked(users(a, y))[0].argmax() == 59


def test_the_fixed_horizon_is_the_textbooks_sample_size():
    """.8 against .7, 5 % one-sided, 80 % power, equal arms: 229 an arm."""
    assert sim_rules.fixed_canaries(0.8, 0.7, 0.5, 0.05, 0.8) == 229


def test_counting_turns_cries_wolf_and_counting_users_does_not():
    """The control that must fail, and the same people counted right."""
    assert sim_rules.turn_counting(50, 3, sim_rollout.chunks) > 0.10
    world = World(base=0.7, turns=4, replies=(1.0, 1.0), window=1e9)
    assert sim_rollout.false_rate(world, (0.2,), 50, [3, 60]) <= 0.10


def test_a_peeked_z_test_is_wrong_far_more_often_than_one_in_twenty():
    drawn = draw(World(base=0.8), np.full(4000, 0.2), 60, np.random.default_rng(1))
    assert sim_rules.peeked(drawn).any(1).mean() > 0.15
