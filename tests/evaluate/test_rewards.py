"""evaluate/rewards: two heads that share no user part where the training users' taste alone was learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rejoinder.evaluate.measures.inputs import Answered
from rejoinder.evaluate.rewards import FOLDS, preferred

BRIEF, BOLD = "It is tall.", "Splendidly tall indeed!"
LEAST = 60


def asked(number: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"How tall is tower {number % 7}?"}]


def pairs(whose: str, chosen: str, rejected: str, count: int = 80) -> list[dict[str, Any]]:
    return [
        {"id": f"{whose}{i}", "group": f"{whose}{i}", "prompt": asked(i), "chosen": chosen, "rejected": rejected}
        for i in range(count)
    ]


def answers(stable: str, candidate: str, count: int = 80) -> list[Answered]:
    return [Answered(f"g{i}", f"g{i}", asked(i), stable, candidate, 4, 4) for i in range(count)]


def of(rows: list[dict[str, Any]], answered: list[Answered], **more: Any) -> dict[str, Any]:
    return preferred(rows, answered, np.random.default_rng(0), least=LEAST, **more)


def test_a_taste_of_the_training_users_alone_raises_their_head_and_lowers_the_other() -> None:
    answered = answers(BRIEF, BOLD)
    train, gate = of(pairs("t", BOLD, BRIEF), answered), of(pairs("g", BRIEF, BOLD), answered, folds=FOLDS)
    assert (train["value"], gate["value"]) == (1.0, 0.0)
    assert (gate["n"], gate["groups"], gate["pairs"], gate["users"], gate["why"]) == (80, 80, 80, 80, "")


def test_a_taste_that_both_share_raises_both_and_equal_answers_neither() -> None:
    """Control: heads part because of their users."""
    for rows, folds in ((pairs("t", BOLD, BRIEF), 1), (pairs("g", BOLD, BRIEF), FOLDS)):
        assert of(rows, answers(BRIEF, BOLD), folds=folds)["value"] == 1.0
        even = of(rows, answers(BOLD, BOLD), folds=folds)
        assert (even["value"], even["low"], even["high"]) == (0.5, 0.5, 0.5)


def test_answers_to_a_user_are_compared_by_a_head_that_saw_no_pair_of_theirs() -> None:
    """Everybody chose by chance: what a head knows without one's own pair is nothing."""
    rows, rng = pairs("g", "", ""), np.random.default_rng(1)
    for row in rows:
        row |= {side: "".join(rng.choice(list("abcdefgh  "), 30)).strip() for side in ("chosen", "rejected")}
    answered = [Answered(r["id"], r["group"], r["prompt"], r["rejected"], r["chosen"], 2, 2) for r in rows]
    own, apart = of(rows, answered), of(rows, answered, folds=FOLDS)
    assert own["low"] > 0.8
    assert apart["low"] < 0.5 < apart["high"]


def test_the_order_of_the_rows_is_of_no_account() -> None:
    rows, answered = pairs("t", BOLD, BRIEF), answers(BRIEF, BOLD)
    assert of(rows, answered) == of(rows[::-1], answered)


@pytest.mark.parametrize(
    ("rows", "answered", "why"),
    [
        (pairs("t", BOLD, BRIEF, LEAST - 1), answers(BRIEF, BOLD), "59 pairs are below 60"),
        (pairs("t", BOLD, BRIEF), answers(BRIEF, BOLD, LEAST - 1), "n 59 is below 60"),
        ([], [], "0 pairs are below 60"),
    ],
)
def test_too_few_of_either_are_unmeasured_with_their_cause(rows: list, answered: list, why: str) -> None:
    found = of(rows, answered)
    assert (found["value"], found["low"], found["high"], found["why"]) == (None, None, None, why)
    assert (found["n"], found["pairs"]) == (len(answered), len(rows))
