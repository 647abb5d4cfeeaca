"""What a round left in the registry, as the report's values."""

from __future__ import annotations

from typing import Any

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.evaluate.report.rounds import kl_of, round_of

from tests.evaluate.report.reports import stages


def of(**stages: Any) -> dict[str, Any]:
    return round_of(4, 1.0, {"outcome": "refused", "at": 2.0, "version": "v", "reasons": [], "stages": stages}, False)


def test_counts_are_told_apart_by_builder_and_cause() -> None:
    pairs = of(**stages(1))["pairs"]
    assert pairs["builders"] == {
        "comparisons": {"built": 0, "dropped": {}, "left_out": {"no_scorer": 1}},
        "edits": {"built": 30, "dropped": {"near_duplicate": 7}, "left_out": {}},
    }
    assert (pairs["reason"], pairs["other"], pairs["sides"]) == (
        {"style": 5},
        {"without_user": 2},
        {"pairs": 21, "gate": 5},
    )


def test_kl_is_the_gates_where_it_was_measured_and_else_the_train_stages() -> None:
    given = stages(1)
    assert kl_of(of(**given)) == {"value": 0.06, "low": pytest.approx(0.01), "high": pytest.approx(0.11), "by": "gate"}
    given["gate"]["measures"][2] = {"name": "kl", "outcome": "unmeasured", "why": "few users"}
    assert kl_of(of(**given)) == {"value": 0.05, "low": None, "high": None, "by": "train"}
    assert kl_of(of()) is None


def test_a_round_that_ended_early_or_not_at_all_has_no_stage() -> None:
    assert (of()["pairs"], of()["train"], of()["measures"], of()["wishes"]) == (None, None, [], None)
    assert round_of(1, 1.0, {}, False)["outcome"] == "open"


def test_what_two_heads_said_is_told_and_older_rounds_of_which_none_was_asked_are_read_as_before() -> None:
    given = stages(1)
    assert of(**given)["rewards"] is None
    train = {"value": 0.6, "low": 0.5, "high": 0.7, "n": 240, "groups": 200, "pairs": 300, "users": 90, "why": ""}
    given["gate"]["rewards"] = {"stable": "v0", "train": train, "gate": {"why": "12 pairs are below 200"}}
    found = of(**given)["rewards"]
    assert (found["stable"], found["train"]) == ("v0", train)
    assert (found["gate"]["value"], found["gate"]["n"], found["gate"]["why"]) == (None, 0, "12 pairs are below 200")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"gate": {"measures": [{"name": "kl", "outcome": "great"}]}}, r"round 4: stages.gate.measures\[0\].outcome"),
        ({"gate": {"measures": [{"name": "kl", "outcome": "pass", "value": "<b>"}]}}, r"measures\[0\].value must be"),
        ({"gate": {"measures": {}}}, "stages.gate.measures must be a list"),
        ({"pairs": {"counts": {"built.edits": -1}}}, "stages.pairs.counts.built.edits must be a count"),
        ({"train": {"metrics": {"after": []}}}, "stages.train.metrics.after must be an object"),
        ({"gate": {"rewards": {"train": {"value": "x"}}}}, "stages.gate.rewards.train.value must be a number"),
        ({"gate": {"rewards": []}}, "stages.gate.rewards must be an object"),
        ({"gate": {"wishes": {"before": {"value": "x"}}}}, "stages.gate.wishes.before.value must be a number"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(broken: dict[str, Any], words: str) -> None:
    with pytest.raises(BadFile, match=words):
        of(**broken)
