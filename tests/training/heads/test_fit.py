from __future__ import annotations

import numpy as np
import pytest
from rejoinder.training.heads import fit
from rejoinder.training.heads.cache import States
from rejoinder.training.heads.model import RewardEncoder

PARAMS = fit.FitParams(epochs=2, rate=5e-3, head_rate=2e-2, tokens=200)


@pytest.fixture(scope="module")
def fitted(base, rows):
    """Trains the last layer on the first 36 pairs, with the preferences given; answers with margins of the other 12."""
    born = RewardEncoder(base, rank=4, tuned_from=5).eval()
    states = States(born, [row for pair in rows for row in (pair.a, pair.b)])
    small = {name: value.clone() for name, value in born.small_state().items()}

    def run(pref: np.ndarray) -> np.ndarray:
        born.load_small(small)
        fit.train(born, states, pref, range(36), PARAMS)
        return fit.margins(born, states, range(36, 48))

    return run


def test_a_rule_in_the_answers_is_learnt(fitted, rows):
    pref = np.array([row.pref for row in rows])
    assert np.mean((fitted(pref) > 0) == (pref[36:] > 0.5)) == 1.0


def test_with_shuffled_preferences_the_rule_is_not_learnt(fitted, rows):
    pref = np.array([row.pref for row in rows])
    shuffled = np.concatenate([np.random.default_rng(0).permutation(pref[:36]), pref[36:]])
    assert np.mean((fitted(shuffled) > 0) == (pref[36:] > 0.5)) < 0.9


def test_presence_marks_tokens_that_one_answer_alone_holds(rows):
    table = fit.presence(rows[:2], sep=102).toarray()
    assert table[0].sum() == table[1].sum() == 0
    assert set(np.unique(table)) == {-1.0, 0.0, 1.0}
    a = {t for t, kind in zip(rows[0].a.ids, rows[0].a.types, strict=True) if kind}
    b = {t for t, kind in zip(rows[0].b.ids, rows[0].b.types, strict=True) if kind}
    assert set(np.flatnonzero(table[0] == 1)) == a - b


def test_logistic_weights_turn_with_the_sides_and_know_soft_preferences():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    p = 1 / (1 + np.exp(-(x @ [1.0, -0.5])))
    weights = fit.logistic(x, p, c=1e4)
    assert weights == pytest.approx([1.0, -0.5], abs=0.02)
    assert fit.logistic(-x, 1 - p, c=1e4) == pytest.approx(weights, abs=1e-3)


def test_the_parts_are_in_the_order_of_the_models_weights(rows):
    lexicon = np.zeros(30522)
    parts = fit.parts(np.array([5.0, 6.0]), lexicon, rows[:2], sep=102)
    assert parts[:, 0].tolist() == [5.0, 6.0]
    assert parts[:, 1].tolist() == [0.0, 0.0]
