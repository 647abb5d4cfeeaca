"""rounds/settings: what the operator's Jobs say is what a stage takes."""

from __future__ import annotations

from rejoinder.rounds import recipe as recipes
from rejoinder.rounds.settings import RoundsSettings
from rejoinder.runtime.settings import load
from rejoinder_operator.api.loops import LoopSpec
from rejoinder_operator.decide.jobs import Pods, job
from rejoinder_operator.decide.recipe import recipe_of

from tests.operator.decide.test_jobs import META, spec
from tests.operator.world import BASE, LOOP


def test_the_environment_of_a_stages_job_is_its_settings() -> None:
    plain = recipe_of(LoopSpec.model_validate(LOOP), "assist")
    made = job(spec().model_copy(update={"recipe": plain}), META, "prepare", 1, None, Pods())
    given = made["spec"]["template"]["spec"]["containers"][0]["env"]
    found = load(RoundsSettings, "rounds", None, {each["name"]: each["value"] for each in given}).round
    assert (found.policy, found.number, found.holder, found.base_digest) == ("assist", 1, "k8s/team/u0", BASE)
    assert str(found.base) == "/volume/base"
    assert recipes.of(found.recipe) == recipes.of(plain)
