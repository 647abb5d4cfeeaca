"""signals/audit/refit: a wrong temperature is found again, few labels change little, thresholds keep what they say."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.signals.audit.estimates import Labelled
from rejoinder.signals.audit.refit import least_for, refit, scaled
from rejoinder.signals.calibration import CLASSES


def labelled(n: int, sharpness: float, seed: int, shift: tuple[float, float, float] = (0, 0, 0)) -> list[Labelled]:
    """Labels drawn from softmax(z); said with softmax(z * sharpness - shift)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.2, (n, 3))
    true = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    said = np.exp(z * sharpness - np.array(shift))
    said /= said.sum(1, keepdims=True)
    return [
        Labelled(str(i), CLASSES[int(said[i].argmax())], str(rng.choice(CLASSES, p=true[i])), tuple(said[i]), 0.5)
        for i in range(n)
    ]


def test_temperature_and_shift_are_found_again() -> None:
    found = scaled(labelled(4000, 2.0, 0, shift=(1.0, 0.0, -1.0)), np.ones(4000))
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.shift == pytest.approx((0.5, 0.0, -0.5), abs=0.15)


def test_it_helps_where_probabilities_were_wrong_and_says_so_where_they_were_right() -> None:
    wrong, right = labelled(600, 3.0, 1), labelled(600, 1.0, 2)
    of_wrong, of_right = (refit(turns, np.ones(600), 0.8, "m", 600) for turns in (wrong, right))
    assert of_wrong.helps
    assert of_wrong.ece_debiased[1] < of_wrong.ece_debiased[0] - 0.1
    assert not of_right.helps
    assert (of_wrong.found.model, of_wrong.found.labelled, of_wrong.found.population) == ("m", 600, 600)


def test_few_labels_of_a_right_reader_are_not_said_to_help() -> None:
    """Without the error of the difference, 9 of these 24 were."""
    made = [refit(labelled(n, 1.0, seed), np.ones(n), 0.8, "m", n) for n in (6, 12, 24) for seed in range(1, 9)]
    assert sum(one.loss[1] < one.loss[0] for one in made) > 4
    assert not any(one.helps for one in made)


def test_few_labels_change_little() -> None:
    few = [Labelled(str(i), "SAT", "DSAT", (0.05, 0.05, 0.9), 0.9) for i in range(2)]
    found = scaled(few, np.ones(2))
    assert max(abs(np.log(found.temperature)), *np.abs(found.shift)) < 2.0
    many = scaled(few * 50, np.ones(100))
    assert many.apply(np.array([0.05, 0.05, 0.9]))[0] > found.apply(np.array([0.05, 0.05, 0.9]))[0]


def test_weights_count_as_that_many_turns() -> None:
    turns = labelled(300, 2.0, 3)
    twice = scaled([*turns, *turns[:150]], np.ones(450))
    weighed = scaled(turns, np.array([2.0] * 150 + [1.0] * 150))
    assert weighed.temperature == pytest.approx(twice.temperature, rel=0.02)


def test_a_threshold_is_the_lowest_from_which_enough_are_right() -> None:
    p = np.linspace(1.0, 0.5, 51)
    right = (p > 0.795).astype(float)
    at = least_for(p, right, np.ones(51), 0.8)
    assert at is not None
    assert right[p >= at].mean() >= 0.8
    assert right[p >= at - 0.011].mean() < 0.8
    assert least_for(p, right, np.ones(51), 0.3) == 0.0
    assert least_for(p, 1 - right, np.ones(51), 0.9) is None


def test_a_threshold_does_not_cut_turns_of_one_probability_and_rests_on_ten() -> None:
    p, right = np.array([0.9] * 20), np.array([1.0] * 10 + [0.0] * 10)
    assert least_for(p, right, np.ones(20), 0.8) is None
    assert least_for(p[:9], np.ones(9), np.ones(9), 0.8) is None
    assert least_for(np.array([]), np.array([]), np.array([]), 0.8) is None


def test_a_pole_whose_precision_is_not_to_be_had_is_named_and_left_as_it_was() -> None:
    turns = [Labelled(str(i), "SAT", "none", (0.05, 0.15, 0.8), 0.8) for i in range(12)]
    turns += [Labelled(f"d{i}", "DSAT", "DSAT", (0.9, 0.05, 0.05), 0.9) for i in range(12)]
    made = refit(turns, np.ones(24), 0.9, "m", 24)
    assert made.found.least_sat == 0.0
    assert "DSAT" not in made.unreached
