import numpy as np
import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.signals.calibration import Calibration
from rejoinder.signals.evaluation import Reading, calibration, evaluate, macro_f1, score, slope_of
from rejoinder.signals.extractors.evidence import Logits, TextModel
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score


def drawn(n: int, seed: int, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Reported probabilities and outcomes; sharpness 1 is perfectly calibrated."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0.3, 1.5, n)
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)
    return 1 / (1 + np.exp(-z * sharpness)), y


@pytest.mark.parametrize("seed", range(3))
def test_macro_f1_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    given, said = rng.choice(["SAT", "DSAT"], 300), rng.choice(["SAT", "DSAT", "none"], 300)
    theirs = f1_score(given, said, labels=["SAT", "DSAT"], average="macro")
    assert macro_f1(list(given), list(said)) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_slope_and_brier_agree_with_scikit_learn(seed):
    p, y = drawn(500, seed, 2.0)
    logit = np.log(p / (1 - p))[:, None]
    theirs = LogisticRegression(C=1e9, tol=1e-10, max_iter=1000).fit(logit, y).coef_[0, 0]
    assert slope_of(p, y) == pytest.approx(theirs, rel=1e-3)
    mine = calibration(p, y, np.ones(len(p)), np.random.default_rng(0), draws=50)
    assert mine.brier == pytest.approx(brier_score_loss(y, p), abs=1e-12)
    assert mine.brier_base == pytest.approx(y.mean() * (1 - y.mean()), abs=1e-12)


def test_ece_with_bins_of_equal_size_is_the_textbook_sum():
    p, y = drawn(600, 7, 3.0)
    order = np.argsort(p)
    textbook = np.mean([abs((y[b] - p[b]).mean()) for b in np.split(order, 15)])
    assert calibration(p, y, np.ones(600), np.random.default_rng(0)).ece == pytest.approx(textbook, abs=1e-12)


def test_a_perfect_reader_stays_below_the_null_and_an_overconfident_one_does_not():
    honest = [calibration(*drawn(230, s), np.ones(230), np.random.default_rng(s), draws=300) for s in range(40)]
    assert sum(c.ece > c.ece_null_95 for c in honest) <= 6
    assert 0.06 < np.mean([c.ece_null_95 for c in honest]) < 0.12
    loud = calibration(*drawn(1000, 1, 3.0), np.ones(1000), np.random.default_rng(0))
    assert loud.ece > loud.ece_null_95
    assert loud.slope == pytest.approx(1 / 3, rel=0.2)


def test_debiasing_brings_the_error_of_a_perfect_reader_near_zero():
    runs = [calibration(*drawn(300, s), np.ones(300), np.random.default_rng(s), draws=50) for s in range(30)]
    assert np.mean([c.ece_debiased for c in runs]) < 0.5 * np.mean([c.ece for c in runs])


def test_every_set_weighs_the_same_whatever_its_size():
    big, small = drawn(3000, 0), drawn(150, 1, 6.0)
    p, y = (np.concatenate(pair) for pair in zip(big, small, strict=True))
    even = np.concatenate([np.full(3000, 1 / 3000), np.full(150, 1 / 150)])
    rng = np.random.default_rng
    weighted = calibration(p, y, even, rng(0), draws=50)
    assert weighted.ece > 2 * calibration(p, y, np.ones(len(p)), rng(0), draws=50).ece


def record(label: str | None, level: int | None) -> dict:
    out = {"id": "x", "messages": [{"role": "assistant", "text": "a"}], "followup": "f"}
    return out | ({"label": label} if label else {}) | ({"level": level} if level else {})


def test_a_turn_without_label_or_level_is_not_scored_there():
    records = [record("SAT", 5), record("DSAT", None), record(None, 1), record("none", 3)]
    readings = [Reading((0.1, 0.1, 0.8), 4.5), Reading((0.7, 0.2, 0.1), 2.0), Reading((1, 0, 0), 1.0)]
    found = score(records, [*readings, Reading((0.2, 0.3, 0.5), 3.0)])
    assert found["n"] == 4
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["auc"] == 1.0
    assert found["spearman"] == pytest.approx(1.0)


def test_a_file_without_sat_is_scored_on_none_against_dsat():
    records = [record("none", None), record("DSAT", None)]
    right = [Reading((0.1, 0.8, 0.1), 3), Reading((0.8, 0.1, 0.1), 2)]
    assert score(records, right)["auc"] == 1.0
    assert score(records, right[::-1])["auc"] == 0.0


class TwoWordModel:
    """Reads "good" as SAT and anything else as DSAT; half a second a call."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock

    def encode(self, sequence: str, *, add_special_tokens: bool):
        return type("Tokens", (), {"ids": [7 if sequence == "good" else 8], "offsets": [(0, len(sequence))]})

    def token_to_id(self, token: str) -> int:
        return 0

    def score(self, rows):
        self.clock.advance(0.5)
        signs = np.array([1.0 if row.ids[row.types.index(1)] == 7 else -1.0 for row in rows])
        return [
            Logits(np.array([-s, 0, s]), np.arange(5) * s, np.zeros(2), np.zeros(0), np.zeros((1, 0))) for s in signs
        ]


def test_the_report_has_what_was_promised_and_speed_is_turns_over_the_clock():
    clock = ManualClock()
    model = TwoWordModel(clock)
    records = [record("SAT", 5) | {"followup": "good"}, record("DSAT", 1) | {"followup": "bad"}] * 5
    found = evaluate(records, TextModel(model, model, Calibration(), (), "two@0"), clock)
    assert found["turns_per_s"] == pytest.approx(20.0)
    assert found["unknown_language"] == 0
    assert (found["accuracy"], found["auc"], found["spearman"]) == (1.0, 1.0, pytest.approx(1.0))
    assert {"n", "accuracy", "macro_f1", "auc", "spearman", "ece", "ece_null_95", "slope", "brier"} <= set(found)


def test_what_is_not_read_is_none_counted_and_in_its_place():
    model = TwoWordModel(ManualClock())
    records = [record("SAT", 5) | {"followup": "good"}, record("none", 3) | {"followup": "das ist nicht gut"}]
    found = evaluate(records, TextModel(model, model, Calibration(), (), "two@0"), ManualClock())
    assert (found["unknown_language"], found["accuracy"], found["spearman"]) == (1, 1.0, pytest.approx(1.0))
