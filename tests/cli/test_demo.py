"""cli/demo: what a control changes in the recipe, whose folder is cleared, what is printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rejoinder.cli.demo import MARK, _cleared, _controlled, command, show
from rejoinder.core.errors import FailedPrecondition
from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.pairs import BUILDERS
from rejoinder.rounds.recipe import Recipe
from rejoinder.training.settings import TrainSettings

DEMO = recipes.load("demo")


def of_train(recipe: Recipe) -> TrainSettings:
    return TrainSettings.from_mapping(recipe.train.settings)


@pytest.mark.parametrize("control", ["", "permuted-followups", "permuted-within-kind", "no-training"])
def test_what_changes_nothing_of_the_training_leaves_the_recipe_as_it_is_but_for_the_seed(control: str) -> None:
    found = _controlled(DEMO, control, None, 7)
    assert (found.seed, of_train(found).seed, found.train.swap_share) == (7, 7, 0.0)
    assert replace(of_train(found), seed=0) == of_train(DEMO)
    same = replace(found, seed=DEMO.seed, train=replace(found.train, settings=DEMO.train.settings))
    assert same == DEMO


def test_the_swapped_control_exchanges_half_the_pairs_and_trains_alike() -> None:
    found = _controlled(DEMO, "swapped", None, 7)
    assert found.train.swap_share == 0.5
    assert of_train(found) == of_train(_controlled(DEMO, "", None, 7))


def test_the_sft_control_learns_from_chosen_answers_alone() -> None:
    found = of_train(_controlled(DEMO, "sft", None, 7))
    assert (found.objective, found.params, found.anchor_weight) == ("sft", {}, 0.0)
    assert (found.lr, found.epochs, found.lora) == (of_train(DEMO).lr, of_train(DEMO).epochs, of_train(DEMO).lora)


def test_the_unwished_control_regenerates_without_the_wish_and_trains_alike() -> None:
    found = _controlled(DEMO, "unwished", None, 7)
    (row,), (shipped,) = found.builders, DEMO.builders
    assert row.params == {**shipped.params, "regenerate": "nothing", "choose": "first"}
    assert BUILDERS.resolve(row.row).with_params(row.params)
    assert of_train(found) == of_train(_controlled(DEMO, "", None, 7))
    assert shipped.params["regenerate"] == "revision", "the shipped recipe stays"


def test_another_anchor_is_a_persons_word() -> None:
    assert of_train(_controlled(DEMO, "", 0.0, 7)).anchor_weight == 0.0
    assert of_train(DEMO).anchor_weight > 0, "control: the recipe has one"


def test_the_recipe_that_is_shipped_is_not_changed_by_a_control() -> None:
    before = recipes.as_plain(DEMO)
    _controlled(DEMO, "sft", 3.0, 7)
    assert recipes.as_plain(DEMO) == before


def test_a_folder_that_holds_anything_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(FailedPrecondition, match="another --data"):
        _cleared(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years"


def test_what_an_earlier_run_left_is_removed(tmp_path: Path) -> None:
    data = tmp_path / "demo"
    _cleared(data)
    (data / "run").mkdir()
    for name in ("truth.jsonl", "acknowledged.txt", "log.db"):
        (data / name).write_text("old")
    _cleared(data)
    assert [path.name for path in data.iterdir()] == [MARK]


def test_an_empty_folder_is_taken_and_a_missing_one_made(tmp_path: Path) -> None:
    _cleared(tmp_path)
    _cleared(tmp_path / "some" / "where")
    assert (tmp_path / "some" / "where").is_dir()


@pytest.mark.parametrize(
    "words", [["--control", "magic"], ["--rounds", "0"], ["--scale", "0.01"], ["--anchor", "-1"], ["--seed", "x"]]
)
def test_a_mistyped_option_is_named_before_anything_begins(words: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(command, [*words, "--data", str(tmp_path / "demo")])
    assert done.exit_code == 2
    assert words[0] in done.output
    assert not (tmp_path / "demo").exists()


def a_result(**changes: Any) -> dict[str, Any]:
    points = {"value": 0.2731, "low": 0.2459, "high": 0.3004}
    row = {"first_answer": points, "after_wish": points, "paired_gain": None, "facts": 0.977, "words": 18.0, "kl": None}
    row |= {"round": 1, "version": "", "pairs": 48, "promoted": False, "reasons": ["pairs:48_below_50"]}
    return {
        "rounds": [row],
        "ceilings": {"constant": 0.338, "by_kind": 0.694, "per_user": 0.95},
        "rise": None,
        "pushes": [],
        "parity": {"acknowledged": 750, "lost": 0},
        "seconds": 24.0,
        "peak_mb": 1211,
    } | changes


def test_a_refused_round_is_shown_with_its_reason_and_no_rise_is_claimed(capsys: pytest.CaptureFixture[str]) -> None:
    show(a_result())
    said = capsys.readouterr().out
    assert "27.3 [24.6, 30.0]" in said
    assert "rise none" in said
    assert "acknowledged 750, lost 0" in said
    assert "24 s, 1211 MB" in said
    assert "past the gate" not in said


def test_what_users_wanted_is_told_with_what_could_be_measured_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    rate = {"value": 0.41, "low": 0.3, "high": 0.52}
    wishes = {"said": 118, "checkable": 0.75, "judged": 0.0, "unmeasured": 0.25, "n": 60, "users": 51}
    result = a_result()
    result["rounds"][0]["wishes"] = wishes | {"before": rate, "after": rate, "gain": None}
    show(result)
    said = " ".join(capsys.readouterr().out.split())
    assert "118 dissatisfied turns of evaluation users: 75 % checked by rule, 0 % read by a judge" in said
    assert "25 % unmeasured; met unasked before 0.410 [0.300, 0.520], after 0.410 [0.300, 0.520], n 60" in said
    result["rounds"][0]["wishes"] = wishes | {"before": None, "after": None, "gain": None, "n": 0}
    show(result)
    assert "no version answered them" in capsys.readouterr().out


def test_what_was_promoted_though_undecided_is_said_to_be_not_worse(capsys: pytest.CaptureFixture[str]) -> None:
    push = {"kind": "harmless", "verdict": "inconclusive", "action": "promoted", "reasons": ["satisfaction"]}
    held = {"kind": "silent", "verdict": "inconclusive", "action": "rolled back", "reasons": ["response_rate"]}
    show(a_result(pushes=[push, held]))
    lines = capsys.readouterr().out.splitlines()
    (harmless,) = [line for line in lines if "harmless" in line]
    assert "not worse" in harmless
    assert "inconclusive" not in harmless
    assert any("silent" in line and "inconclusive" in line for line in lines)


def test_a_push_that_nobody_met_is_shown_without_figures(capsys: pytest.CaptureFixture[str]) -> None:
    held = {"kind": "style", "verdict": "unmeasured", "action": "held", "reasons": ["no_version"]}
    show(a_result(pushes=[held], rise={"value": 0.21, "low": 0.16, "high": 0.26}))
    said = capsys.readouterr().out
    assert "unmeasured" in said
    assert "rise 21.0 [16.0, 26.0]" in said
