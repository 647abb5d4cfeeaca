import json
import random

from rejoinder.rollout.silence import Silence
from rejoinder.rollout.units import UnitScore


def unit(i: int, canary: bool, judged: float | None, w: float = 0.5) -> UnitScore:
    return UnitScore(
        unit=f"u{i}",
        canary=canary,
        weight=w,
        closes_at=float(i),
        turns=1,
        judged=judged,
        replied=float(judged is not None),
        sat=float(judged == 1.0),
        dsat=float(judged == 0.0),
    )


def people(n: int, truth: tuple[float, float], displeased: tuple[float, float], seed: int = 0):
    """(stable, canary): chance of being pleased, and reply probability of the displeased; 40 % of the pleased reply."""
    draw = random.Random(seed)
    for i in range(n):
        canary = draw.random() < 0.5
        pleased = draw.random() < truth[canary]
        replies = draw.random() < (0.4 if pleased else displeased[canary])
        yield unit(i, canary, float(pleased) if replies else None)


def fed(units) -> Silence:
    silence = Silence(0.6, 0.05, 0.5)
    for one in units:
        silence.add(one)
    return silence


def test_silent_complaints_raise_satisfaction_and_the_other_processes_see_it():
    """Truth .70 -> .60, satisfaction of repliers .583 -> .643: only the reply rate and SAT per interaction fall."""
    silence = fed(people(6000, (0.7, 0.6), (0.7, 1 / 3)))
    assert silence.view("canary").mean > silence.view("stable").mean
    tests = silence.tests
    assert tests["judged"].worse.log_e < 0
    assert tests["reply"].worse.peak > 5
    assert tests["sat"].worse.log_e > tests["judged"].worse.log_e


def test_the_margin_per_interaction_shrinks_with_the_reply_rate():
    """SAT per interaction falls by 4 points, within a margin of 5: only the margin times the reply rate refuses it."""
    units = list(people(20_000, (0.7, 0.6), (0.7, 1 / 3), seed=1))
    silence = fed(units)
    assert silence.tests["sat"].not_worse.peak < 3.0
    plain = Silence(0.6, 0.05, 0.5)
    for one in units:
        plain.tests["sat"].add(one.sat, one.canary, one.weight, 0.05)
    assert plain.tests["sat"].not_worse.log_e > silence.tests["sat"].not_worse.log_e


def test_a_version_that_is_as_good_moves_no_process():
    tests = fed(people(3000, (0.7, 0.7), (0.7, 0.7))).tests
    assert all(test.worse.peak < 4.6 for test in tests.values())


def test_the_bounds_take_the_silent_for_displeased_and_for_pleased():
    silence = fed([unit(0, True, 1.0), unit(1, True, None), unit(2, True, None), unit(3, True, 0.0)])
    view = silence.view("canary")
    assert (view.units, view.judged, view.mean, view.reply_rate) == (4, 2, 0.5, 0.5)
    assert view.bounds == (0.25, 0.75)
    assert silence.view("stable").mean is None


def test_a_state_that_went_through_json_goes_on_bit_equal():
    units = list(people(200, (0.7, 0.6), (0.7, 0.5)))
    resumed = Silence.from_dict(json.loads(json.dumps(fed(units[:90]).as_dict())))
    for one in units[90:]:
        resumed.add(one)
    assert resumed.as_dict() == fed(units).as_dict()
