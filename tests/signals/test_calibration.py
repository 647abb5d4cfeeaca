import json

import numpy as np
import pytest
from rejoinder.signals.calibration import CLASSES, Calibration, fit, main

NAMES = ["gratitude", "style"]


def world(n: int, sharpness: float, seed: int, judged: bool = True) -> list[dict]:
    """Turns whose labels are drawn from softmax(z) while the reader reports z * sharpness."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 1.5, (n, 3))
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    r = rng.normal(-1, 2, (n, 2))
    fired = rng.random((n, 2)) < 1 / (1 + np.exp(-r))
    return [
        {
            "set": "a" if judged else "b",
            "judged": judged,
            "label": CLASSES[rng.choice(3, p=p[i])],
            "reasons": [name for name, hit in zip(NAMES, fired[i], strict=True) if hit],
            "names": NAMES,
            "polarity": list(z[i] * sharpness),
            "rubric": list(r[i] * 2 + 1),
        }
        for i in range(n)
    ]


def test_the_temperature_of_an_overconfident_reader_is_found_again():
    found = fit(world(4000, 3.0, 0))
    assert found.temperature == pytest.approx(3.0, rel=0.1)
    assert np.abs(found.shift).max() < 0.15


def test_the_platt_scale_and_shift_are_found_again():
    found = fit(world(4000, 1.0, 1))
    assert found.rubric_scale == pytest.approx(0.5, rel=0.1)
    assert found.rubric_shift == pytest.approx(-0.5, abs=0.1)


def test_fitting_lowers_the_loss_on_turns_it_did_not_see():
    found, fresh = fit(world(2000, 2.5, 2)), world(2000, 2.5, 3)

    def loss(c: Calibration) -> float:
        p = c.polarity(np.array([r["polarity"] for r in fresh]))
        return -np.log(p[np.arange(len(fresh)), [CLASSES.index(r["label"]) for r in fresh]]).mean()

    assert loss(found) < loss(Calibration()) - 0.05


def test_turns_nobody_read_move_the_odds_of_the_poles_and_not_how_often_words_say_nothing():
    read = world(2000, 1.0, 4)
    rated = [{**r, "label": "SAT"} for r in world(2000, 1.0, 5, judged=False) if r["label"] != "none"]
    alone, both = fit(read), fit(read + rated)
    # SAT among the rated is certain, so SAT must gain on DSAT; a control with none gained as well would be wrong.
    assert both.shift[2] - both.shift[0] > alone.shift[2] - alone.shift[0] + 0.2
    assert fit(read + [{**r, "label": "none"} for r in rated]) == alone


def test_a_calibration_survives_its_file(tmp_path, capsys):
    path = tmp_path / "held_out.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in world(200, 2.0, 6)), encoding="utf-8")
    main(str(path))
    printed = capsys.readouterr().out
    assert Calibration.from_json(printed) == fit(world(200, 2.0, 6))


def test_the_expected_level_of_even_logits_is_three():
    assert Calibration.level(np.zeros((2, 5))) == pytest.approx([3.0, 3.0])
    assert Calibration.level(np.array([0, 0, 0, 0, 50.0])) == pytest.approx(5.0)
