"""evaluate/drift: a planted move is found where it is, none where there is none, and what is not known is not said."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from rejoinder.evaluate.drift import Reading, drift_report, drift_time, moves, widest
from rejoinder.evaluate.kendall import resampled
from rejoinder.evaluate.topics import STANCES

AT = np.linspace(0, 1, 41)
LOGIT19 = np.log(19)


def readings(shares: dict[str, dict[str, tuple[float, ...]]], seed: int = 0, prompts: int = 30, each: int = 10):
    """By checkpoint and topic, the shares of support, neutral, oppose and, as a fourth, unread."""
    rng = np.random.default_rng(seed)
    return [
        Reading(checkpoint, topic, f"p{prompt}", (*STANCES, "")[rng.choice(len(p), p=p)])
        for checkpoint, topics in shares.items()
        for topic, p in topics.items()
        for prompt in range(prompts)
        for _ in range(each)
    ]


def report(found, names=("a", "b"), seed: int = 1, **more):
    return drift_report(found, dict.fromkeys(names), generator=np.random.default_rng(seed), **more)


FLAT, MOVED = (0.4, 0.3, 0.3), (0.7, 0.2, 0.1)


def test_a_planted_move_alarms_on_its_topic_alone_with_an_interval_that_holds_it() -> None:
    told = report(readings({"a": {"x": FLAT, "y": FLAT}, "b": {"x": MOVED, "y": FLAT}}))
    assert {alarm["topic"] for alarm in told["alarms"]} == {"x"}
    moved = told["topics"]["x"]["moves"]["b"]
    for stance, before, after in zip(STANCES, FLAT, MOVED, strict=True):
        assert moved[stance]["low"] < after - before < moved[stance]["high"]
        difference = told["topics"]["x"]["values"]["b"][stance]["value"]
        difference -= told["topics"]["x"]["values"]["a"][stance]["value"]
        assert moved[stance]["value"] == pytest.approx(difference)


def test_two_that_do_not_differ_alarm_in_at_most_one_run_of_twenty() -> None:
    """Stance by prompt, so that answers to one prompt go together."""
    rng, alarmed = np.random.default_rng(3), 0
    for _ in range(100):
        every = []
        for _ in range(3):
            p = rng.dirichlet((2.0, 1.5, 1.5), size=25)
            shares = np.stack([rng.multinomial(8, p) / 8 for _ in range(2)])
            weights = resampled([str(i) for i in range(25)], 300, rng)
            every.append(moves(shares[1:] - shares[0], 8, weights))
        wide = widest(every, 0.99)
        alarmed += any((np.abs(each.value) > wide * each.error).any() for each in every)
    assert alarmed <= 5


def test_the_intervals_are_those_of_a_multinomial_bootstrap() -> None:
    """One topic, one stance pair: joint over one family the width is that of the textbook's draws."""
    rng = np.random.default_rng(4)
    shares = rng.multinomial(10, (0.5, 0.3, 0.2), size=(2, 400)) / 10
    change = shares[1:] - shares[0]
    found = moves(change, 10, resampled([str(i) for i in range(400)], 400, rng))
    drawn = [change[0][rng.integers(400, size=400)].mean(0) for _ in range(2000)]
    assert found.error[0] == pytest.approx(np.std(drawn, axis=0), rel=0.08)


def test_the_same_answers_move_nothing_and_their_interval_is_no_point() -> None:
    same = readings({"a": {"x": FLAT}})
    told = report([*same, *(Reading("b", r.topic, r.prompt, r.stance) for r in same)])
    assert told["alarms"] == []
    for figure in told["topics"]["x"]["moves"]["b"].values():
        assert figure["value"] == 0
        assert figure["low"] < 0 < figure["high"]


def test_a_move_that_all_prompts_make_alike_alarms() -> None:
    told = report(readings({"a": {"x": (1.0, 0.0, 0.0)}, "b": {"x": (0.0, 0.0, 1.0)}}))
    assert {alarm["stance"] for alarm in told["alarms"]} == {"support", "oppose"}


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (readings({"a": {"x": FLAT}, "b": {"x": MOVED}}, prompts=19, each=20), "19 prompts are below 20"),
        (readings({"a": {"x": FLAT}, "b": {"x": MOVED}}, each=6), "n 180 is below 200"),
        (
            readings({"a": {"x": (*FLAT[:2], 0.3, 0.0)}, "b": {"x": (0.3, 0.1, 0.1, 0.5)}}, each=20),
            "of the answers at a checkpoint are unread, more than 20%",
        ),
    ],
    ids=["few prompts", "few answers", "many unread"],
)
def test_what_is_too_little_is_unmeasured_and_alarms_nobody(found, why: str) -> None:
    told = report(found)
    assert told["alarms"] == []
    topic = told["topics"]["x"]
    assert not topic["measured"]
    assert why in topic["why"]
    assert topic["moves"]["b"]["support"]["low"] is None


def test_a_prompt_that_a_checkpoint_never_answered_is_left_out_of_all() -> None:
    found = readings({"a": {"x": FLAT}, "b": {"x": FLAT}})
    told = report([*found, *(Reading("a", "x", "new", "oppose") for _ in range(50))])["topics"]["x"]
    assert (told["prompts"], told["left_out"]) == (30, 1)
    assert (told["n"], told["unread"]) == ({"a": 350, "b": 300}, {"a": 0, "b": 0})
    bare = report([Reading("a", "x", "p", "oppose")])["topics"]["x"]
    assert bare["values"]["a"]["oppose"]["value"] is None
    assert bare["moves"]["b"]["oppose"] == {"value": None, "low": None, "high": None, "alarm": False}


def test_a_stance_that_can_no_longer_be_read_alarms() -> None:
    told = report(readings({"a": {"x": (1.0, 0.0, 0.0, 0.0)}, "b": {"x": (0.85, 0.0, 0.0, 0.15)}}))
    assert {alarm["stance"] for alarm in told["alarms"]} == {"support", "unread"}
    moved = told["topics"]["x"]["moves"]["b"]["unread"]
    assert moved["low"] < 0.15 < moved["high"]


def test_a_prompt_that_is_no_longer_read_at_all_is_not_left_out() -> None:
    found = readings({"a": {"x": FLAT}, "b": {"x": FLAT}})
    silent = [r if (r.checkpoint, r.prompt) not in {("b", "p0"), ("b", "p1")} else replace(r, stance="") for r in found]
    told = report(silent)["topics"]["x"]
    assert (told["left_out"], told["prompts"]) == (0, 30)
    assert told["values"]["b"]["unread"]["value"] == pytest.approx(2 / 30)


def test_moves_are_counted_from_the_checkpoint_that_is_named() -> None:
    found = readings({"a": {"x": FLAT}, "b": {"x": MOVED}, "c": {"x": MOVED}})
    told = report(found, ("a", "b", "c"), since="b")
    assert (told["since"], list(told["topics"]["x"]["moves"]), told["alarms"]) == ("b", ["c"], [])
    with pytest.raises(ValueError, match="between two"):
        report(found, ("a", "b", "c"), since="c")


@pytest.mark.parametrize(("middle", "slope", "sign"), [*itertools.product((0.2, 0.4), (15.0, 25.0), (1, -1))])
def test_the_time_of_a_sigmoid_is_the_textbooks(middle: float, slope: float, sign: int) -> None:
    moved = sign * 0.5 / (1 + np.exp(-slope * (AT - middle)))
    found = drift_time(AT, moved - moved[0], 1e-3)
    # Where the logistic stands at 95 % of its whole rise, its first value (nearly 0) left out.
    assert found == pytest.approx(middle + LOGIT19 / slope, abs=0.03)


def test_the_extreme_of_noisy_checkpoints_is_not_waited_for() -> None:
    rng, errors, raw = np.random.default_rng(5), [], []
    for _ in range(40):
        moved = 0.5 / (1 + np.exp(-20 * (AT - 0.3))) + rng.normal(0, 0.015, 41)
        moved -= moved[0]
        errors.append(drift_time(AT, moved, 0.015 * np.sqrt(2)) - (0.3 + LOGIT19 / 20))
        raw.append(AT[np.argmax(moved >= 0.95 * moved.max())] - (0.3 + LOGIT19 / 20))
    assert np.abs(np.mean(errors)) < 0.01
    assert np.mean(np.abs(errors)) < 0.03 < np.mean(np.abs(raw))


def test_a_move_that_goes_back_has_its_time_at_its_extreme() -> None:
    moved = np.concatenate([np.linspace(0, 0.5, 21), np.linspace(0.5, 0, 21)[1:]])
    assert drift_time(AT, moved, 1e-3) == pytest.approx(0.475, abs=0.01)


def test_times_are_told_of_stances_that_alarm_and_by_their_steps() -> None:
    shares = {f"s{k}": {"x": FLAT if k < 5 else MOVED, "y": FLAT} for k in range(20)}
    steps = {name: float(k * 50) for k, name in enumerate(shares)}
    told = drift_report(readings(shares), steps, generator=np.random.default_rng(0))
    assert (told["by"], told["topics"]["y"]["times"]) == ("step", {})
    time = told["topics"]["x"]["times"]["support"]
    assert time["low"] <= time["value"] <= time["high"]
    assert time["value"] == pytest.approx(5 / 19, abs=0.03)
    assert time["extreme"] == pytest.approx(0.3, abs=0.12)
