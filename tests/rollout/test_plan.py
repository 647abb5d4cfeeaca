import math

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.plan import PlanStep, RolloutPlan
from rejoinder.rollout.vetoes import Veto

NORM = {"id": "n", "text": "t", "owner": "o", "forbid": "a"}


def test_a_charter_and_its_veto_come_together_and_a_report_comes_alone():
    both = RolloutPlan.from_mapping({"vetoes": [{"name": "norms"}], "charter": {"version": "1", "norms": [NORM]}})
    assert [norm.id for norm in both.charter.norms] == ["n"]
    report = {"version": "1", "norms": [NORM | {"severity": "report"}]}
    assert RolloutPlan.from_mapping({"charter": report}).charter.vetoes == frozenset()


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
        ({"steps": [{"weight": "much"}]}, "weight must be a number"),
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
        ({"vetoes": [{"name": "norms"}]}, "norms needs a rollout.charter"),
        (
            {"vetoes": [{"name": "norms"}], "charter": {"version": "1", "norms": [NORM | {"severity": "report"}]}},
            "needs",
        ),
        ({"charter": {"version": "1", "norms": [NORM]}}, "add {name: norms} to rollout.vetoes"),
        (
            {"charter": {"version": "1", "norms": [NORM | {"forbid": "(?=a)"}]}},
            r"norms\[0\] \(n\): forbid: .*look-arounds",
        ),
        ({"charter": "charter.yaml"}, "charter must be a mapping"),
        ({"alhpa": 0.05}, "alhpa"),
        ({1: 0.05, None: 1}, "unknown 1, None"),
        ({"steps": 1}, "steps must be a list"),
        ({"steps": "ab"}, "steps must be a list"),
        ({"steps": [5]}, r"steps\[0\]: must be a mapping"),
        ({"steps": [[]]}, r"steps\[0\]: must be a mapping"),
        ({"steps": [{"weight": n / 1000} for n in range(1, 102)]}, "from 1 to 100"),
        ({"steps": [{"weight": True}]}, "weight must be a number"),
        ({"steps": [{"weight": 1e-320}]}, "weight"),
        ({"vetoes": 5}, "vetoes must be a list"),
        ({"vetoes": [1.0]}, r"vetoes\[0\]: must be a mapping"),
        ({"vetoes": [{"name": 5}]}, "name must be text"),
        ({"vetoes": [{"name": "a", "base_rate": math.nan}]}, "base_rate"),
        ({"unit": []}, "unit must be text"),
        ({"alpha": 1e-320}, "alpha"),
        ({"min_units": 2**80}, "min_units"),
        ({"min_units": True}, "min_units must be a whole number"),
        ({"turns_cap": 1.5}, "turns_cap must be a whole number"),
        ({"maturity_s": 1e300}, "maturity_s"),
        ({"watch_s": 10**400}, "watch_s"),
        ([], "rollout must be a mapping"),
        (None, "rollout must be a mapping"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_and_says_which_field(wrong, named):
    with pytest.raises(BadSettings, match=named):
        RolloutPlan.from_mapping(wrong)


def test_no_setting_promotes_on_a_deadline_or_without_evidence():
    for wrong in ({"on_deadline": "promote"}, {"promote_on": "deadline"}):
        with pytest.raises(BadSettings):
            RolloutPlan.from_mapping(wrong)
