"""decide/recipe: what a loop says is a recipe that the rounds take."""

from __future__ import annotations

import json

from rejoinder.core import charter as charters
from rejoinder.rounds import recipe as recipes
from rejoinder.training.settings import TrainSettings
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.recipe import recipe_of

from tests.operator.world import LOOP


def test_a_loops_spec_is_a_recipe_and_its_train_settings_are_settings() -> None:
    plain = recipe_of(LoopSpec.model_validate({**LOOP, "gateHead": "gate"}), "assist")
    made = recipes.of(json.loads(json.dumps(plain)))
    assert made.gate.head == "gate"
    assert made.train.min_pairs == 50
    assert [each.row for each in made.builders] == ["edits"]
    assert [each.row for each in made.gate.measures] == ["pair_accuracy"]
    assert TrainSettings.from_mapping(made.train.settings).params == {"beta": 0.1}


def test_a_loops_charter_is_the_recipes_and_without_one_the_recipe_is_as_before() -> None:
    norm = {"id": "n", "text": "t", "owner": "o", "approvals": ["legal"], "forbid": "a", "severity": "veto"}
    held = {"charter": {"version": "1", "norms": [norm]}, "gates": [{"name": "norms"}]}
    plain = recipe_of(LoopSpec.model_validate({**LOOP, **held}), "assist")
    assert recipes.of(json.loads(json.dumps(plain))).charter == charters.of(held["charter"])
    assert "charter" not in recipe_of(LoopSpec.model_validate(LOOP), "assist")
