"""evaluate/factor_scores: whose scores, which gaps alarm, and what is left out."""

from __future__ import annotations

import json

import numpy as np
import pytest
from rejoinder.core.types import Message, Role
from rejoinder.evaluate.factor_scores import differences, factor_report, of_people
from rejoinder.evaluate.judged import JudgedPair
from rejoinder.evaluate.kendall import resampled, tau_b

NAMES = ("length", "questions", "numbers")


def pair(name: str, chosen: str, rejected: str, tie: bool = False) -> JudgedPair:
    return JudgedPair(
        name, name, (Message(Role.USER, "Cook rice?"), Message(Role.ASSISTANT, "So")), chosen, rejected, tie
    )


def report(choices: dict[str, np.ndarray], differing: np.ndarray, **more: object) -> dict:
    groups = [f"u{i // 2}" for i in range(len(differing))]
    return factor_report(differing, choices, groups, generator=np.random.default_rng(0), names=NAMES, draws=300, **more)


def made(n: int = 300) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 3))


def test_differences_are_of_the_chosen_answer_and_of_the_users_last_words() -> None:
    pairs = [pair("a", "One two three?", "One"), pair("b", "Rice", "Soup", tie=True)]
    assert differences(pairs, ("length", "questions", "overlap")).tolist() == [[2, 1, 0], [0, 0, 0.5]]
    assert of_people(pairs).tolist() == [1.0, 0.0]


def test_scores_find_what_decides_and_gaps_where_two_differ() -> None:
    differing = made()
    found = report({"people": differing[:, 0], "policy": -differing[:, 1], "head": differing[:, 0]}, differing)
    assert (found["n"], found["users"], found["left_out"], found["measured"]) == (300, 150, 0, True)
    assert found["scores"]["people"]["length"]["value"] == pytest.approx(0.5**0.5, abs=2e-3)
    assert found["scores"]["policy"]["questions"]["value"] < -0.7
    gaps = {(gap["of"], gap["less"]): gap for gap in found["gaps"]}
    assert gaps["people", "policy"]["alarms"] == ["length", "questions"]
    assert gaps["people", "head"]["alarms"] == []
    assert gaps["people", "head"]["alignment"]["value"] == 1.0
    figure = gaps["people", "policy"]["factors"]["length"]
    assert figure["low"] < figure["value"] < figure["high"]


def test_a_report_says_what_its_intervals_are_and_the_scores_ones_are_bootstraps_by_user() -> None:
    differing = made()
    found = report({"people": differing[:, 0], "policy": -differing[:, 1]}, differing, level=0.95)
    assert found["intervals"]["gaps"].startswith("all together at 95 %")
    assert found["intervals"]["scores"] == found["intervals"]["alignment"] == "each at 95 %: bootstrap by user"
    figure = found["scores"]["policy"]["questions"]
    weights = resampled([f"u{i // 2}" for i in range(300)], 300, np.random.default_rng(0))
    drawn = tau_b(differing[:, 1], -differing[:, 1], weights)
    assert [figure["low"], figure["high"]] == pytest.approx(list(np.quantile(drawn, (0.025, 0.975))))


def test_of_few_pairs_nothing_alarms() -> None:
    differing = made(60)
    found = report({"people": differing[:, 0], "policy": -differing[:, 0]}, differing)
    assert not found["measured"]
    assert found["gaps"][0]["factors"]["length"]["low"] > 0
    assert found["gaps"][0]["alarms"] == []


def test_pairs_without_somebodys_choice_are_left_out_and_counted() -> None:
    differing = made()
    silent = np.where(np.arange(300) < 40, np.nan, 1.0)
    found = report({"people": np.ones(300), "policy": silent}, differing)
    assert (found["n"], found["left_out"]) == (260, 40)
    nobody = report({"people": np.ones(300), "policy": np.full(300, np.nan)}, differing)
    assert (nobody["n"], nobody["scores"], nobody["gaps"]) == (0, {}, [])


def test_a_factor_that_never_differs_has_no_score_and_no_gap() -> None:
    differing = made()
    differing[:, 2] = 0
    found = report({"people": differing[:, 0], "policy": differing[:, 1]}, differing)
    assert found["scores"]["people"]["numbers"] == {"value": None, "low": None, "high": None, "n": 0}
    assert not found["gaps"][0]["factors"]["numbers"]["alarm"]
    json.dumps(found, allow_nan=False)


def test_the_joint_interval_is_wider_than_one_alone() -> None:
    differing = made()
    choices = {"people": differing[:, 0], "policy": differing[:, 1]}
    joint = report(choices, differing)["gaps"][0]["factors"]["length"]
    alone = report(choices, differing, level=0.5)["gaps"][0]["factors"]["length"]
    assert joint["high"] - joint["low"] > 1.5 * (alone["high"] - alone["low"])
