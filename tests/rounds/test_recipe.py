"""rounds/recipe: what is misspelt is said before the round, not in the middle of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile, BadSettings, UnknownRow
from rejoinder.rounds import recipe

GOOD: dict[str, Any] = {"name": "r", "builders": ["edits"]}


@pytest.mark.parametrize("name", ["wildfeedback", "online_dpo", "people"])
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
    ],
)
def test_a_mistake_is_named_with_what_is_known(change: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        recipe.of({**GOOD, **change})


def test_a_missing_or_broken_file_is_a_friendly_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="shipped: demo, online_dpo, people, wildfeedback"):
        recipe.load("nothing")
    broken = tmp_path / "r.yaml"
    broken.write_text("name: [")
    with pytest.raises(BadFile, match="no YAML"):
        recipe.load(str(broken))


def test_a_recipe_is_plain_json_for_its_key() -> None:
    import json

    assert json.loads(json.dumps(recipe.as_plain(recipe.of(GOOD))))["builders"][0]["row"] == "edits"
