import json
import math
import random
from dataclasses import replace

import pytest
from rejoinder.core.errors import BadSettings, InvalidArgument
from rejoinder.rollout.evidence import PARTS, Evidence, parts
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.units import UnitScore
from rejoinder.rollout.vetoes import Veto

PLAN = RolloutPlan()


def people(n: int, truth: tuple[float, float] = (0.7, 0.7), seed: int = 0, w: float = 0.5) -> list[UnitScore]:
    draw, units = random.Random(seed), []
    for i in range(n):
        canary, replies = draw.random() < w, draw.random() < 0.5
        pleased = draw.random() < truth[canary]
        units.append(
            UnitScore(
                unit=f"u{i:06d}",
                canary=canary,
                weight=w,
                closes_at=float(i),
                turns=1,
                judged=float(pleased) if replies else None,
                replied=float(replies),
                sat=float(replies and pleased),
                dsat=float(replies and not pleased),
            )
        )
    return units


def fed(units: list[UnitScore], plan: RolloutPlan = PLAN) -> Evidence:
    evidence = Evidence(plan)
    evidence.extend(units)
    return evidence


def test_an_engine_killed_at_any_point_resumes_bit_equal():
    units = people(150)
    straight = fed(units).as_dict()
    for cut in (0, 1, 77, 150):
        resumed = Evidence.from_dict(PLAN, json.loads(json.dumps(fed(units[:cut]).as_dict())))
        assert resumed.extend(units) == len(units) - cut
        assert resumed.as_dict() == straight


def test_a_unit_that_was_taken_is_not_taken_twice():
    units = people(30)
    evidence = fed(units)
    assert evidence.extend(units) == 0
    with pytest.raises(InvalidArgument):
        evidence.add(units[-1])


def test_units_are_refused_out_of_order():
    evidence = fed(people(30))
    with pytest.raises(InvalidArgument):
        evidence.add(replace(people(1)[0], unit="new", closes_at=3.0))


def test_another_set_of_vetoes_does_not_take_up_the_state():
    with pytest.raises(BadSettings):
        Evidence.from_dict(replace(PLAN, vetoes=(Veto("refusal"),)), fed(people(10)).as_dict())


def test_the_parts_spend_the_whole_error_and_no_more():
    shadowed = parts(replace(PLAN, shadow_s=60.0, vetoes=(Veto("failures"),)))
    assert sum(PARTS.values()) == sum(shadowed.values()) == pytest.approx(1.0)
    assert parts(PLAN) == PARTS
    assert (shadowed["shadow"], shadowed["vetoes"]) == (0.1, 0.1)


def test_whenever_one_part_is_there_alone_the_weighted_mean_is_there_too():
    evidence, judged = Evidence(PLAN), math.inf
    for i, unit in enumerate(people(900, (0.8, 0.6), seed=2)):
        evidence.add(unit)
        if evidence.silence.tests["judged"].worse.log_e >= math.log(1 / (PARTS["judged"] * PLAN.alpha)):
            judged = min(judged, i)
            assert evidence.log_e_harm >= math.log(1 / PLAN.alpha)
            break
    assert judged < math.inf
