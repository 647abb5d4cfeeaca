"""signals/audit/estimates: weighted back to the traffic the figures are right, unweighted they are not."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.rubric import UNKNOWN_LANGUAGE
from rejoinder.signals.audit.estimates import (
    Labelled,
    agreement,
    agreements,
    calibrations,
    resamples,
    table_of,
    weights,
)
from rejoinder.signals.calibration import CLASSES

#: Turns of the traffic by stratum, and what they are (DSAT, none, SAT): 3 % are DSAT, half of them read as another.
POPULATION = {"DSAT": 600, "none": 12_000, "SAT": 7_400, UNKNOWN_LANGUAGE: 0}
RATES = {"DSAT": (0.5, 0.3, 0.2), "none": (0.02, 0.88, 0.1), "SAT": (0.008, 0.192, 0.8)}
SIZE = 100


def drawn(rng: np.random.Generator) -> list[Labelled]:
    """Said with .6 everywhere, but for what keeps a class's turns from lying side by side in the bins."""
    return [
        Labelled(f"{name}{i}", name, CLASSES[k], (0.1, 0.2, 0.7), float(rng.uniform(0.5999, 0.6001)))
        for name, rates in RATES.items()
        for i, k in enumerate(rng.choice(3, size=SIZE, p=rates))
    ]


def truth() -> dict[str, float]:
    """By counting the whole traffic."""
    joint = {(name, c): POPULATION[name] * RATES[name][k] for name in RATES for k, c in enumerate(CLASSES)}
    total = sum(joint.values())
    of_class = {c: sum(joint[name, c] for name in RATES) for c in CLASSES}
    agreed = sum(joint[c, c] for c in CLASSES) / total
    chance = sum(POPULATION[c] * of_class[c] for c in CLASSES) / total**2
    return {
        "accuracy": agreed,
        "kappa": (agreed - chance) / (1 - chance),
        **{f"precision_{c}": joint[c, c] / POPULATION[c] for c in CLASSES},
        **{f"recall_{c}": joint[c, c] / of_class[c] for c in CLASSES},
    }


def test_estimates_are_right_on_average_and_unweighted_ones_are_not() -> None:
    rng, samples = np.random.default_rng(1), 200
    sums: dict[str, list[float]] = {}
    plain: list[float] = []
    for _ in range(samples):
        labelled = drawn(rng)
        table = table_of(POPULATION, labelled)
        found = agreement(table, table.counts / table.counts.sum(1, keepdims=True))
        for name, value in found.items():
            sums.setdefault(name, []).append(float(value))
        # The control: the sample's own share, as if the classes had been drawn as often as they come.
        hits = [turn.stratum == "DSAT" for turn in labelled if turn.label == "DSAT"]
        plain.append(float(np.mean(hits)))
    for name, value in truth().items():
        error = np.std(sums[name]) / np.sqrt(samples)
        # A ratio of sums is biased by the order of 1 / n, here by a hundredth at most.
        assert np.mean(sums[name]) == pytest.approx(value, abs=4 * error + 0.02), name
    assert np.mean(plain) > truth()["recall_DSAT"] + 0.3


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng, samples = np.random.default_rng(2), 200
    inside = dict.fromkeys(truth(), 0)
    for _ in range(samples):
        for name, figure in agreements(table_of(POPULATION, drawn(rng)), rng, draws=400).items():
            inside[name] += figure.low <= truth()[name] <= figure.high
    # 95 % wanted; sd of 200 is 1.5 points.
    assert min(inside.values()) > 0.9 * samples, inside


def test_a_class_that_nobody_found_in_a_large_stratum_is_not_certain_to_be_absent() -> None:
    labelled = [Labelled(f"n{i}", "none", "none", (0, 1, 0), 0.9) for i in range(50)]
    labelled += [Labelled(f"d{i}", "DSAT", "DSAT", (1, 0, 0), 0.9) for i in range(20)]
    found = agreements(table_of(POPULATION, labelled), np.random.default_rng(0))["recall_DSAT"]
    assert found.value == 1.0
    assert found.low < 0.8


def test_a_stratum_without_labels_is_left_out_and_unread_turns_count_as_none() -> None:
    population = {**POPULATION, UNKNOWN_LANGUAGE: 100}
    turns = [("none", "none"), ("none", "SAT"), (UNKNOWN_LANGUAGE, "DSAT")]
    labelled = [Labelled(str(i), stratum, label, (0, 1, 0), 0.5) for i, (stratum, label) in enumerate(turns)]
    table = table_of(population, labelled)
    assert table.strata == ("none", UNKNOWN_LANGUAGE)
    found = agreement(table, table.counts / table.counts.sum(1, keepdims=True))
    assert found["precision_none"] == pytest.approx(6_000 / 12_100)
    assert list(weights(population, labelled)) == [6_000, 6_000, 100]


def test_calibration_is_of_the_whole_traffic() -> None:
    """Said with .6 everywhere and right as RATES say: the ECE is accuracy less .6, of the traffic and not the sheet."""
    rng, samples = np.random.default_rng(3), 30
    off = truth()["accuracy"] - 0.6
    drawings = [drawn(rng) for _ in range(samples)]
    found = [calibrations(turns, weights(POPULATION, turns), rng, times=60)[1] for turns in drawings]
    assert np.mean([figure.value for figure in found]) == pytest.approx(off, abs=0.02)
    # The control: every turn of the sheet weighing the same.
    plain = [calibrations(turns, np.ones(len(turns)), rng, times=2)[1].value for turns in drawings]
    assert np.mean(plain) < off - 0.05
    assert sum(figure.low <= off <= figure.high for figure in found) > 0.8 * samples


def test_a_resample_weighs_as_much_as_the_traffic() -> None:
    labelled = drawn(np.random.default_rng(4))
    weight = weights(POPULATION, labelled)
    for places, scaled in resamples(labelled, weight, np.random.default_rng(5), 3):
        assert len(places) == 3 * (SIZE - 1)
        assert scaled.sum() == pytest.approx(weight.sum())
