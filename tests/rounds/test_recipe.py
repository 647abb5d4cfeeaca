"""rounds/recipe: what is misspelt is said before the round, not in the middle of it."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from rejoinder.core.errors import BadFile, BadSettings, UnknownRow
from rejoinder.rounds import recipe

GOOD: dict[str, Any] = {"name": "r", "builders": ["edits"]}
CHARTER = {"version": "1", "norms": [{"id": "n", "text": "t", "owner": "o", "forbid": "a"}]}
TOPIC = {"id": "t", "question": "?", "prompts": ["?"], "support": "^yes", "neutral": "^maybe", "oppose": "^no"}
TOPICS = {"version": "1", "topics": [TOPIC]}


def test_a_charter_stands_beside_its_recipe_and_is_frozen_with_it(tmp_path: Path) -> None:
    (tmp_path / "charter.yaml").write_text(yaml.safe_dump(CHARTER))
    (tmp_path / "r.yaml").write_text(
        yaml.safe_dump({**GOOD, "charter": "charter.yaml", "gate": {"measures": ["norms"]}})
    )
    loaded = recipe.load(str(tmp_path / "r.yaml"))
    frozen = recipe.as_plain(loaded)["charter"]
    assert recipe.of({**GOOD, "charter": frozen, "gate": {"measures": ["norms"]}}).charter == loaded.charter
    assert "charter" not in recipe.as_plain(recipe.of(GOOD))


def test_topics_stand_beside_their_recipe_and_are_frozen_with_it(tmp_path: Path) -> None:
    gate = {"gate": {"measures": ["drift"]}}
    (tmp_path / "topics.yaml").write_text(yaml.safe_dump(TOPICS))
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({**GOOD, "topics": "topics.yaml", **gate}))
    loaded = recipe.load(str(tmp_path / "r.yaml"))
    assert recipe.of({**GOOD, "topics": recipe.as_plain(loaded)["topics"], **gate}).topics == loaded.topics
    assert "topics" not in recipe.as_plain(recipe.of(GOOD))


@pytest.mark.parametrize("name", ["wildfeedback", "online_dpo", "people", "personal", "ranked"])
def test_every_shipped_recipe_loads(name: str) -> None:
    assert recipe.load(name).name == name


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"bilders": []}, BadSettings, "unknown bilders"),
        ({"builders": []}, BadSettings, "empty"),
        ({"builders": ["magic"]}, UnknownRow, "known: wildfeedback"),
        ({"builders": [{"row": "edits", "params": {"min_chnge": 1}}]}, BadSettings, "min_chnge"),
        ({"gate": {"measures": ["luck"]}}, UnknownRow, "known: pair_accuracy"),
        ({"guards": {"max_per_usr": 1}}, BadSettings, "max_per_usr"),
        ({"summariser": "oracle"}, UnknownRow, "known: embedded"),
        ({"train": []}, BadSettings, "mapping"),
        ({"builders": 1.0}, BadSettings, "builders must be a list"),
        ({"builders": "edits"}, BadSettings, "builders must be a list"),
        ({"builders": [1]}, BadSettings, "builders: must be a mapping"),
        ({"builders": [{"params": {}}]}, BadSettings, "row is missing"),
        ({"builders": [{"row": []}]}, BadSettings, "row must be text"),
        ({"builders": [{"row": True}]}, BadSettings, "row must be text"),
        ({"builders": [{"row": "edits", "params": "text"}]}, BadSettings, "params must be a mapping"),
        ({"builders": [{"row": "edits", "params": {"min_change": "x"}}]}, BadSettings, "min_change must be a number"),
        ({"builders": [{"row": "edits", "params": {"min_change": math.nan}}]}, BadSettings, "min_change"),
        ({"builders": ["nowhere.at_all:ROW"]}, BadSettings, "cannot be imported"),
        ({"gate": {"measures": 120}}, BadSettings, "gate.measures must be a list"),
        ({"gate": {"samples": "all"}}, BadSettings, "samples must be a whole number"),
        ({"gate": {"temperature": math.inf}}, BadSettings, "JSON"),
        ({"guards": {"support_floor": math.nan}}, BadSettings, "support_floor must be a number"),
        ({"summariser": ["embedded"]}, BadSettings, "summariser must be text"),
        ({"train": {"command": "python train.py"}}, BadSettings, "command must be a list of text"),
        ({"train": {"settings": {"since": datetime.date(2024, 1, 1)}}}, BadSettings, "JSON"),
        ({"train": {"settings": {1: 1, "a": 2}}}, BadSettings, "JSON"),
        ({"train": {"settings": {"objective": "magic"}}}, UnknownRow, "known: dpo"),
        ({"train": {"settings": {"objective": "tpo"}}}, BadSettings, "none of edits makes .list.; ranked would"),
        ({"name": None}, BadSettings, "name must be text"),
        ({"charter": CHARTER}, BadSettings, "add norms to gate.measures"),
        ({"gate": {"measures": ["norms"]}}, BadSettings, "needs a charter"),
        ({"charter": {**CHARTER, "version": 1}, "gate": {"measures": ["norms"]}}, BadSettings, "version must be text"),
        ({"topics": TOPICS}, BadSettings, "add drift to gate.measures"),
        ({"gate": {"measures": ["drift"]}}, BadSettings, "drift needs topics, one of them guarded"),
        (
            {"topics": {**TOPICS, "topics": [{**TOPIC, "guarded": False}]}, "gate": {"measures": ["drift"]}},
            BadSettings,
            "one of them guarded",
        ),
        (
            {
                "topics": {**TOPICS, "topics": [{k: TOPIC[k] for k in ("id", "question", "prompts")}]},
                "gate": {"measures": ["drift"]},
            },
            BadSettings,
            "t has no patterns, and no server reads",
        ),
        ({1: 2}, BadSettings, "unknown 1"),
    ],
)
def test_a_mistake_is_named_with_what_is_known(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        recipe.of({**GOOD, **change})


@pytest.mark.parametrize("value", [None, [], "name: x", 1, {"builders": ["edits"]}])
def test_what_is_no_recipe_at_all_is_said(value: Any) -> None:
    with pytest.raises(BadSettings):
        recipe.of(value)


def test_a_floor_that_is_turned_off_is_no_fault() -> None:
    made = recipe.of({**GOOD, "guards": {"support_floor": -math.inf}})
    assert recipe.as_plain(made)["guards"]["support_floor"] == "-inf"


def test_a_missing_or_broken_file_is_a_friendly_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="shipped: demo, online_dpo, people, personal, ranked, wildfeedback"):
        recipe.load("nothing")
    broken = tmp_path / "r.yaml"
    for text in ("name: [", "x: 2024-99-99", "&a {k: *a}", "[" * 400):
        broken.write_text(text)
        with pytest.raises(BadFile, match=r"r\.yaml"):
            recipe.load(str(broken))


def test_a_recipe_is_plain_json_for_its_key() -> None:
    import json

    assert json.loads(json.dumps(recipe.as_plain(recipe.of(GOOD))))["builders"][0]["row"] == "edits"


def test_an_objective_of_lists_takes_lists_and_one_of_pairs_takes_both() -> None:
    for builders, objective in (
        (["ranked"], "tpo"),
        (["ranked", "edits"], "tpo"),
        (["ranked"], "dpo"),
        (["edits"], "kto"),
    ):
        made = recipe.of({"name": "r", "builders": builders, "train": {"settings": {"objective": objective}}})
        assert made.train.settings["objective"] == objective


def test_another_program_may_call_its_objective_what_it_likes() -> None:
    train = {"command": ["theirs"], "settings": {"objective": "magic"}}
    assert recipe.of({**GOOD, "train": train}).train.command == ("theirs",)


def test_a_recipe_may_name_an_objective_with_a_teacher_and_where_that_lies() -> None:
    settings = {"objective": "dckd", "teacher": {"base": "/models/large", "adapter": "/models/large-dpo/adapter"}}
    assert recipe.of({**GOOD, "train": {"settings": settings}}).train.settings == settings


def test_the_example_is_plain_dpo_on_what_people_compared() -> None:
    example = recipe.load(str(Path(__file__).parents[2] / "examples" / "plain-dpo.yaml"))
    assert example.train.settings["objective"] == "dpo"
    assert example.train.settings["anchor_weight"] == 0
