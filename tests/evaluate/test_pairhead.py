"""evaluate/pairhead: a Bradley-Terry head finds again what made the pairs, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.evaluate.pairhead import Compared, Params, features, fit

SHORT, LONG = "It is tall.", "It is tall, and a good deal of what is told of it is told at great length by many people."
QUESTIONS = ("How tall is the tower?", "Describe the way to bake bread.")


def pairs(count: int, flip: float = 0.0, seed: int = 0) -> list[Compared]:
    """Of the first question the short answer is liked, of the second the long one; a share is turned by a coin."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(count):
        good, bad = (
            f"{text} Number {rng.integers(1000)}." for text in ((SHORT, LONG) if i % 2 == 0 else (LONG, SHORT))
        )
        turned = rng.random() < flip
        made.append(Compared(QUESTIONS[i % 2], bad if turned else good, good if turned else bad))
    return made


def accuracy(head, held_out: list[Compared]) -> float:
    questions = [p.question for p in held_out]
    margins = head.scores(questions, [p.chosen for p in held_out]) - head.scores(
        questions, [p.rejected for p in held_out]
    )
    return float((margins > 0).mean())


def test_what_is_liked_hangs_on_the_question_and_is_found_on_pairs_it_has_not_seen() -> None:
    assert accuracy(fit(pairs(200)), pairs(200, seed=1)) == 1.0


def test_pairs_that_a_coin_turned_teach_nothing() -> None:
    """Control: an accuracy far from a half comes from the pairs."""
    assert accuracy(fit(pairs(400, flip=0.5)), pairs(400, seed=1)) == pytest.approx(0.5, abs=0.25)
    assert accuracy(fit(pairs(400, flip=0.2)), pairs(400, seed=1)) > 0.95


def test_the_fit_is_where_the_penalised_likelihood_is_flat() -> None:
    """By another route: the gradient at the weights, from the definition of the loss."""
    params, found = Params(width=64, penalty=3.0), pairs(60, flip=0.3)
    weights = fit(found, params).weights
    gradient = params.penalty * weights
    for pair in found:
        x = features(pair.question, pair.chosen, 64) - features(pair.question, pair.rejected, 64)
        gradient = gradient - x / (1 + np.exp(x @ weights))
    assert np.abs(gradient).max() < 1e-6


def test_of_no_pair_every_answer_is_alike() -> None:
    head = fit([])
    assert list(head.scores(QUESTIONS, [SHORT, LONG])) == [0.0, 0.0]
    assert head.scores([], []).shape == (0,)
