"""rounds/overlays: each field has one owner; an overlay that says more than its part is refused by the field's name."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rejoinder.core.errors import BadFile, BadSettings
from rejoinder.rounds.overlays import SHARED, SLOTS, Level, levels_of, read, resolve
from rejoinder.rounds.recipe import Recipe, Train
from rejoinder.training.settings import TrainSettings

BASE: dict[str, Any] = {
    "name": "short",
    "builders": ["comparisons"],
    "guards": {"near_duplicate": 0.8, "max_per_user": 7},
    "train": {
        "min_pairs": 2,
        "settings": {"objective": "dpo", "params": {"beta": 0.5}, "lr": 0.01, "init": "promoted"},
    },
}


def overlay(tmp_path: Path, text: str, name: str = "other.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize(
    ("slot", "text", "field", "why"),
    [
        (
            "data",
            "train: {settings: {objective: kto}}",
            "train.settings.objective",
            "belongs to algorithm, not to data",
        ),
        ("algorithm", "builders: [edits]", "builders", "belongs to data, not to algorithm"),
        ("algorithm", "train: {settings: {lr: 0.1}, swap_share: 0.5}", "train.swap_share", "belongs to data"),
        ("reward", "prompts: {file: x}", "prompts.file", "belongs to prompts"),
        ("algorithm", "train: {settings: {epochs: 9}}", "train.settings.epochs", "as many tokens"),
        ("algorithm", "train: {settings: {init: promoted}}", "train.settings.init", "starts from the bare base"),
        ("algorithm", "train: {settings: {lora: {r: 64}}}", "train.settings.lora", "starts from the same weights"),
        ("algorithm", "train: {settings: {seed: 3}}", "train.settings.seed", "seeds are given"),
        ("data", "gate: {samples: 0}", "gate", "measured alike"),
        ("data", "gards: {pii: false}", "gards", "is no field of data"),
        ("data", "train: 7", "train", "is no field of data"),
    ],
)
def test_what_is_not_its_own_is_refused_with_the_field_and_why(
    slot: str, text: str, field: str, why: str, tmp_path: Path
) -> None:
    with pytest.raises(BadSettings, match=why) as caught:
        read(slot, overlay(tmp_path, text))
    assert caught.value.metadata["field"] == field
    assert field in caught.value.message


def test_an_unknown_part_a_missing_file_and_a_word_without_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="data, algorithm, reward, prompts"):
        read("weather", overlay(tmp_path, ""))
    with pytest.raises(BadFile):
        read("data", tmp_path / "none.yaml")
    for word in ("data", "data=", "data=a.yaml,"):
        with pytest.raises(BadSettings, match="SLOT=FILE"):
            levels_of([word])
    with pytest.raises(BadSettings, match="must be a mapping"):
        read("data", overlay(tmp_path, "[1]"))


def test_a_bad_value_is_refused_as_in_any_recipe_with_the_level_that_says_it(tmp_path: Path) -> None:
    for text, why in (
        ("train: {settings: {objective: tpo}}", "algorithm=other: train: tpo reads what none of"),
        ("train: {settings: {objective: nonsense}}", "algorithm=other: no objective is called"),
    ):
        with pytest.raises(BadSettings, match=why):
            resolve(BASE, [read("algorithm", overlay(tmp_path, text))])


def test_an_overlay_changes_its_fields_and_no_other(tmp_path: Path) -> None:
    base = resolve(BASE, []).recipe
    quiet = resolve(BASE, [read("data", overlay(tmp_path, "guards: {pii: false}"))]).recipe
    assert quiet == dataclasses.replace(base, guards=dataclasses.replace(base.guards, pii=False))
    assert (quiet.guards.near_duplicate, quiet.guards.max_per_user) == (0.8, 7)


def test_parameters_of_one_objective_are_not_handed_to_another(tmp_path: Path) -> None:
    found = resolve(BASE, [read("algorithm", overlay(tmp_path, "train: {settings: {objective: ipo}}"))]).recipe
    assert "params" not in found.train.settings
    assert found.train.settings["lr"] == 0.01
    softer = resolve(BASE, [read("algorithm", overlay(tmp_path, "train: {settings: {params: {beta: 0.1}}}"))]).recipe
    assert softer.train.settings["params"] == {"beta": 0.1}


def test_every_cell_starts_from_the_bare_base_whatever_the_recipe_says() -> None:
    settings = resolve(BASE, []).recipe.train.settings
    assert (settings["init"], settings["reference"]) == ("original", "original")


def test_an_empty_overlay_is_a_copy(tmp_path: Path) -> None:
    for slot in SLOTS:
        assert resolve(BASE, [read(slot, overlay(tmp_path, ""))]) == resolve(BASE, [])


def test_reward_and_prompts_are_nothing_to_builders_that_sample_nothing(tmp_path: Path) -> None:
    reward = Level("reward", "strong", {"reward": {"head": "strong"}})
    prompts = Level("prompts", "own", {"prompts": {"file": "own.jsonl"}}, tmp_path)
    assert resolve(BASE, [reward, prompts]) == resolve(BASE, [])
    sampling = resolve({**BASE, "builders": ["best_worst"]}, [reward, prompts])
    assert (sampling.head, sampling.prompts) == ("strong", str(tmp_path / "own.jsonl"))


@pytest.mark.parametrize("value", [None, [], ["a"], 7])
def test_a_recipe_that_is_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(BadSettings, match="recipe must be a mapping"):
        resolve(value, [])


def test_a_teachers_folders_are_meant_from_the_file_that_names_them(tmp_path: Path) -> None:
    text = "train: {settings: {teacher: {base: big, adapter: /far/adapter}}}"
    teacher = read("algorithm", overlay(tmp_path, text)).overlay["train"]["settings"]["teacher"]
    assert teacher == {"base": str((tmp_path / "big").resolve()), "adapter": "/far/adapter"}


def test_another_trainer_is_refused() -> None:
    with pytest.raises(BadSettings, match="keeps no token budget"):
        resolve({**BASE, "train": {"command": ["other"]}}, [])


def test_every_field_of_a_recipe_is_of_one_slot_or_of_none_and_the_same() -> None:
    """A field that is added to a recipe must be given an owner; training's other settings change no figure."""
    known = {path for paths in SLOTS.values() for path in paths} | set(SHARED)
    assert sum(map(len, SLOTS.values())) + len(SHARED) == len(known)
    fields = {f.name for f in dataclasses.fields(Recipe)} - {"train"}
    fields |= {f"train.{f.name}" for f in dataclasses.fields(Train)} - {"train.settings"}
    fields |= {f"train.settings.{f.name}" for f in dataclasses.fields(TrainSettings)}
    unchanging = ("tokens_per_batch", "device", "checkpoint_every", "probe_pairs", "probe_tokens", "memory_limit_mb")
    fields -= {f"train.settings.{name}" for name in unchanging}
    assert fields == {path for path in known if path not in ("reward.head", "prompts.file")}
