"""runtime/backends/sampling: frequencies against the distribution by hand, and cuts against enumeration."""

from __future__ import annotations

import numpy as np
import pytest
from rejoinder.core.types import Sampling
from rejoinder.runtime.backends.sampling import choose, log_softmax

P = np.array([0.05, 0.5, 0.15, 0.3])
LOGITS = np.log(P).astype(np.float32)


def drawn(sampling: Sampling, count: int = 6_000, seed: int = 0) -> np.ndarray:
    """Relative frequencies of each token."""
    generator = np.random.default_rng(seed)
    found = [one(sampling, generator) for _ in range(count)]
    return np.bincount(found, minlength=len(P)) / count


def one(sampling: Sampling, generator: np.random.Generator) -> int:
    return int(choose(LOGITS[None], [sampling], [generator])[0][0])


def test_log_probabilities_sum_to_one_whatever_the_scale() -> None:
    logits = np.array([[1e4, 1e4 - 1, 0.0], [-1e4, 0.0, 3.0]], np.float32)
    log_probs = log_softmax(logits)
    assert np.exp(log_probs).sum(axis=-1) == pytest.approx([1.0, 1.0])
    assert log_probs[0, 0] - log_probs[0, 1] == pytest.approx(1.0)


def test_greedy_takes_the_most_probable() -> None:
    assert one(Sampling(0.0), np.random.default_rng(0)) == 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_the_tempered_distribution_says(temperature: float) -> None:
    expected = P ** (1 / temperature) / (P ** (1 / temperature)).sum()
    # Four standard errors of a frequency of 6,000 draws.
    assert drawn(Sampling(temperature)) == pytest.approx(expected, abs=4 * 0.5 / 6_000**0.5)


def test_top_k_keeps_the_k_most_probable_in_their_proportions() -> None:
    assert drawn(Sampling(1.0, top_k=2)) == pytest.approx([0, 0.625, 0, 0.375], abs=0.03)


def test_the_nucleus_is_the_smallest_set_that_reaches_its_mass() -> None:
    # 0.5 alone does not reach 0.6; 0.5 + 0.3 does.
    assert drawn(Sampling(1.0, top_p=0.6)) == pytest.approx([0, 0.625, 0, 0.375], abs=0.03)
    assert drawn(Sampling(1.0, top_p=0.5)) == pytest.approx([0, 1, 0, 0])
    assert drawn(Sampling(1.0, top_p=1e-9)) == pytest.approx([0, 1, 0, 0])


def test_the_nucleus_is_taken_among_the_k() -> None:
    assert drawn(Sampling(1.0, top_k=3, top_p=0.9)) == pytest.approx(np.array([0, 50, 15, 30]) / 95, abs=0.03)


def test_a_temperature_near_nought_is_greedy_and_does_not_overflow() -> None:
    with np.errstate(all="raise", under="ignore"):
        assert {one(Sampling(1e-300), np.random.default_rng(seed)) for seed in range(20)} == {1}


def test_one_seed_gives_one_sequence() -> None:
    assert (drawn(Sampling(1.0), 50, seed=3) == drawn(Sampling(1.0), 50, seed=3)).all()
    assert (drawn(Sampling(1.0), 50, seed=3) != drawn(Sampling(1.0), 50, seed=4)).any()


def test_rows_are_drawn_as_if_each_were_alone_and_report_their_log_probability() -> None:
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(6, 50)).astype(np.float32) * 3
    samplings = [
        Sampling(1.0),
        Sampling(0.0),
        Sampling(0.5),
        Sampling(1.0, top_k=5),
        Sampling(2.0, top_p=0.7),
        Sampling(1.0),
    ]
    tokens, log_probs = choose(logits, samplings, [np.random.default_rng(i) for i in range(6)])
    for i in range(6):
        (token,), (log_prob,) = choose(logits[i : i + 1], samplings[i : i + 1], [np.random.default_rng(i)])
        assert (token, log_prob) == (tokens[i], log_probs[i])
    assert log_probs == pytest.approx(log_softmax(logits)[np.arange(6), tokens], abs=1e-6)
