import math

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.vetoes import Veto


def test_a_recipes_block_becomes_a_plan():
    plan = RolloutPlan.from_mapping(
        {
            "steps": [{"weight": 0.05, "on_inconclusive": "advance"}, {"weight": 0.5, "duration_s": 60}],
            "approval": "promotion",
            "vetoes": [{"name": "refusal", "base_rate": 0.1}],
            "alpha": 0.1,
        }
    )
    assert plan.steps == (PlanStep(0.05, on_inconclusive="advance"), PlanStep(0.5, duration_s=60))
    assert plan.vetoes == (Veto("refusal", 0.1),)
    assert (plan.approval, plan.alpha, plan.margin) == ("promotion", 0.1, 0.05)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"steps": []}, "steps"),
        ({"steps": [{"weight": 0.0}]}, "weight"),
        ({"steps": [{"weight": 1.0}]}, "weight"),
        ({"steps": [{"weight": math.nan}]}, "weight"),
        ({"steps": [{"weight": 0.2}, {"weight": 0.1}]}, "rise"),
        ({"steps": [{"weight": 0.2, "duration_s": 10, "deadline_s": 5}]}, "duration_s"),
        ({"steps": [{"weight": 0.2, "deadline_s": math.inf}]}, "deadline_s"),
        ({"steps": [{"weight": 0.2, "on_inconclusive": "advance"}]}, "last step"),
        ({"steps": [{"weight": 0.2, "on_inconclusive": "promote"}]}, "on_inconclusive"),
        ({"steps": [{"wieght": 0.2}]}, "wieght"),
        ({"steps": [{}]}, r"steps\[0\]"),
        ({"steps": [{"weight": "much"}]}, "wrong type"),
        ({"on_deadline": "promote"}, "on_deadline"),
        ({"approval": "both"}, "approval"),
        ({"promote_on": "inconclusive"}, "promote_on"),
        ({"unit": "turn"}, "unit"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": math.nan}, "alpha"),
        ({"margin": 0.5}, "margin"),
        ({"base_rate": 1.0}, "base_rate"),
        ({"min_units": 0}, "min_units"),
        ({"turns_cap": 0}, "turns_cap"),
        ({"maturity_s": 0}, "maturity_s"),
        ({"watch_s": -1}, "watch_s"),
        ({"vetoes": [{"name": "a"}, {"name": "a"}]}, "vetoes"),
        ({"alhpa": 0.05}, "alhpa"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_and_says_which_field(wrong, named):
    with pytest.raises(BadSettings, match=named):
        RolloutPlan.from_mapping(wrong)


def test_no_setting_promotes_on_a_deadline_or_without_evidence():
    for wrong in ({"on_deadline": "promote"}, {"promote_on": "deadline"}):
        with pytest.raises(BadSettings):
            RolloutPlan.from_mapping(wrong)
