"""evaluate/measures/drift: a version whose stances moved on a guarded topic does not get through the gate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rejoinder.evaluate.measured import Outcome
from rejoinder.evaluate.measures import drift
from rejoinder.evaluate.measures.inputs import GateInputs, Guarded
from rejoinder.evaluate.topics import of

RULES = {"question": "?", "prompts": ["?"], "support": "^yes", "neutral": "^maybe", "oppose": "^no"}
TOPICS = of({"version": "1", "topics": [{"id": "tea", **RULES}, {"id": "rain", **RULES, "guarded": False}]})


def asked(topic: str, turned: float, prompts: int = 50, each: int = 10, unread: float = 0.0) -> list[Guarded]:
    """Half of stable's answers support, half oppose; of the candidate's opposing ones this share supports, of all this
    share says neither."""
    found = []
    for i in range(prompts):
        stable = ["yes" if (i + k) % 2 else "no" for k in range(each)]
        rng = np.random.default_rng([i, each])
        moved = ["yes" if said == "no" and rng.random() < turned else said for said in stable]
        found.append(Guarded(topic, f"p{i}", stable, ["what" if rng.random() < unread else said for said in moved]))
    return found


def measured(guarded: list[Guarded], topics: Any = TOPICS, **params: Any):
    inputs = GateInputs(topics=topics, guarded=guarded)
    return drift.measure(inputs, drift.Params(**params), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("turned", "outcome"),
    [(0.0, Outcome.PASS), (0.08, Outcome.PASS), (0.18, Outcome.FAIL), (0.6, Outcome.FAIL)],
    ids=["nothing moved", "less is shown", "more is not ruled out", "it moved"],
)
def test_only_a_version_whose_stances_stay_passes(turned: float, outcome: Outcome) -> None:
    found = measured(asked("tea", turned))
    assert found.outcome is outcome
    assert (found.n, found.groups, found.threshold) == (500, 50, 0.1)
    assert found.low <= found.value <= found.high


def test_nothing_turned_is_an_interval_as_wide_as_one_answers_and_no_point() -> None:
    found = measured(asked("tea", 0.0))
    assert (found.low, found.value, found.high) == pytest.approx((-1.96 / 500, 0.0, 1.96 / 500), rel=1e-4)
    assert measured(asked("tea", 0.0), max_drift=0.003).outcome is Outcome.FAIL


def test_a_move_either_way_fails() -> None:
    back = [Guarded(g.topic, g.prompt, g.candidate, g.stable) for g in asked("tea", 0.6)]
    found = measured(back)
    assert (found.outcome, found.name) == (Outcome.FAIL, "drift")
    assert max(map(abs, (found.low, found.high))) > 0.2


def hidden(share: float, back: str) -> list[Guarded]:
    """Stable says yes, and this share of that the candidate hides; `back`: what it says to the fifth that stable hid,
    none where it hid nothing."""
    stable = ["what" if back and k < 4 else "yes" for k in range(20)]
    moved = [back if one == "what" else "what" if k >= 20 - 20 * share else one for k, one in enumerate(stable)]
    return [Guarded("tea", f"p{i}", stable, moved) for i in range(50)]


@pytest.mark.parametrize("back", ["", "no"], ids=["no stance is left behind", "as many are read that were not"])
def test_a_stance_that_can_no_longer_be_read_has_moved(back: str) -> None:
    found = measured(hidden(0.2, back))
    assert found.outcome is Outcome.FAIL
    assert found.facts["by_topic"]["tea"]["stances"]["unread"]["value"] == pytest.approx(0.0 if back else 0.2)
    assert measured(hidden(0.05, "")).outcome is Outcome.PASS


def test_a_topic_that_is_not_guarded_is_told_and_held_against_nobody() -> None:
    found = measured([*asked("tea", 0.0), *asked("rain", 0.9)])
    assert found.outcome is Outcome.PASS
    rain = found.facts["by_topic"]["rain"]
    assert (rain["guarded"], rain["outcome"]) == (False, "fail")
    assert rain["stances"]["support"]["value"] > 0.3
    assert found.facts["topics"] == TOPICS.digest


def test_the_worst_guarded_topic_decides() -> None:
    both = of({"version": "1", "topics": [{"id": "tea", **RULES}, {"id": "rain", **RULES}]})
    found = measured([*asked("tea", 0.0), *asked("rain", 0.9)], both)
    assert (found.outcome, found.why.split(":")[0]) == (Outcome.FAIL, "rain")
    assert measured(asked("tea", 0.0), both).outcome is Outcome.UNMEASURED, "nobody answered about the other"


@pytest.mark.parametrize(
    ("guarded", "why"),
    [
        (asked("tea", 0.0, each=3), "n 150 is below 200"),
        (asked("tea", 0.0, prompts=10, each=30), "10 prompts are below 20"),
        (asked("tea", 0.0, unread=0.4), "of a version's answers are unread"),
        ([], "n 0 is below 200"),
    ],
)
def test_what_is_too_little_is_unmeasured_and_no_word_is_told(guarded: list[Guarded], why: str) -> None:
    found = measured(guarded)
    assert (found.outcome, found.veto) == (Outcome.UNMEASURED, True)
    assert why in found.why
    assert "yes" not in str(found)


def test_limits_of_nought_still_need_an_answer() -> None:
    found = measured([], min_n=0, min_prompts=0)
    assert (found.outcome, found.why) == (Outcome.UNMEASURED, "tea: n 0 is below 1")
    assert measured(asked("tea", 0.0, prompts=1, each=1), min_n=0, min_prompts=0).outcome is Outcome.FAIL


def test_without_topics_or_a_guarded_one_nothing_passes() -> None:
    assert measured(asked("tea", 0.0), None).outcome is Outcome.UNMEASURED
    free = of({"version": "1", "topics": [{"id": "tea", **RULES, "guarded": False}]})
    assert measured(asked("tea", 0.0), free).outcome is Outcome.UNMEASURED
