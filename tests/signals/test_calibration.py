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
            "level": 3,
            "levels": [0.0] * 5,
            "rating": [0.0, 0.0 if judged else 1.0],
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
        p = c.polarity(np.array([r["polarity"] for r in fresh]), np.array([r["rating"] for r in fresh]))
        return -np.log(p[np.arange(len(fresh)), [CLASSES.index(r["label"]) for r in fresh]]).mean()

    assert loss(found) < loss(Calibration()) - 0.05


def test_chats_nobody_read_move_the_odds_in_chats_and_nothing_else():
    read = world(2000, 1.0, 4)
    rated = [{**r, "label": "SAT"} for r in world(2000, 1.0, 5, judged=False) if r["label"] != "none"]
    alone, both = fit(read), fit(read + rated)
    assert both.chat_odds > 1.0
    assert (both.temperature, *both.shift) == pytest.approx((alone.temperature, *alone.shift), abs=0.02)
    silent = fit(read + [{**r, "label": "none"} for r in rated])
    assert (silent.temperature, silent.shift, silent.chat_odds) == (alone.temperature, alone.shift, 0.0)


def test_a_calibration_survives_its_file(tmp_path, capsys):
    path = tmp_path / "held_out.jsonl"
    path.write_text("\n".join(json.dumps(r) for r in world(200, 2.0, 6)), encoding="utf-8")
    main(str(path))
    printed = capsys.readouterr().out
    assert Calibration.from_json(printed) == fit(world(200, 2.0, 6))


def test_the_level_is_what_the_words_say_and_tone_counts_in_chats_only():
    five, c = np.array([0, 0, 0, 0, 50.0]), Calibration(rating_centre=4.0, rating_weight=1.0)
    spoken, silent = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    chat, assistant = np.array([3.5, 1.0]), np.array([3.5, 0.0])
    assert c.level(five, assistant, spoken) == pytest.approx(5.0)
    assert c.level(five, assistant, silent) == pytest.approx(3.0)
    assert c.level(five, chat, silent) == c.level(five, chat, spoken) == pytest.approx(2.5)
    assert Calibration().level(five, chat, silent) == pytest.approx(3.0)


def test_a_rating_that_orders_silent_turns_is_given_weight_and_a_random_one_is_not():
    rng = np.random.default_rng(9)
    rows = world(400, 1.0, 10, judged=False)
    for row in rows:
        row["level"] = int(rng.integers(1, 6))
        row["polarity"] = [-5.0, 0.0, float(rng.normal(-3, 0.3))]
        row["rating"] = [float(row["level"]), 1.0]
    assert fit(rows).rating_weight > 0
    for row in rows:
        row["rating"] = [-float(row["level"]), 1.0]
    assert fit(rows).rating_weight == 0.0


def test_odds_of_chats_count_where_the_words_are_silent_and_nowhere_else():
    """A refusal in a chat stays one, however kind the tone."""
    c, chat = Calibration(chat_odds=5.0), np.array([4.0, 1.0])
    silent, refusal = np.array([0.0, 3.0, 0.0]), np.array([3.0, 0.0, 0.0])
    odds = [c.polarity(z, chat)[2] / c.polarity(z, chat)[0] for z in (silent, refusal)]
    assert odds[0] == pytest.approx(np.exp(5.0))
    assert odds[1] == pytest.approx(np.exp(-3.0))
    assert c.polarity(silent, np.array([4.0, 0.0]))[2] == pytest.approx(c.polarity(silent, np.array([4.0, 0.0]))[0])
