import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.errors import InvalidArgument
from rejoinder.core.types import ArmKind, Polarity
from rejoinder.rollout.units import Measure, Turn, collect

RULE = {"maturity_s": 100.0, "turns_cap": 3}


def turn(unit: str = "u", at: float = 10.0, canary: bool = True, w: float = 0.2, **fields) -> Turn:
    arm, propensity = (ArmKind.CANARY, w) if canary else (ArmKind.STABLE, 1 - w)
    fields.setdefault("interaction_id", f"{unit}-{at}")
    return Turn(unit=unit, at=at, arm=arm, propensity=propensity, **fields)


def answered(score: float, at: float = 20.0, **fields) -> dict:
    polarity = Polarity.SAT if score >= 0.5 else Polarity.DSAT
    return {"score": score, "followed_at": at, "polarity": polarity} | fields


def of(turns, through: float = 1e9, **rule):
    return collect(turns, through=through, **(RULE | rule))


def test_a_unit_counts_once_its_first_window_has_closed():
    one = [turn(at=10.0, **answered(1.0))]
    assert of(one, through=109.9).units == ()
    assert of(one, through=109.9).waiting == 1
    assert [u.closes_at for u in of(one, through=110.0).units] == [110.0]


def test_the_score_is_the_mean_of_the_judged_turns_and_a_user_counts_once():
    found = of([turn(at=10, **answered(1.0)), turn(at=30, **answered(0.0, 40)), turn(at=50)])
    (unit,) = found.units
    assert (unit.judged, unit.turns) == (0.5, 3)
    assert (unit.replied, unit.sat, unit.dsat) == pytest.approx((2 / 3, 1 / 3, 1 / 3))


def test_silence_is_censored_never_a_bad_score_f08():
    (unit,) = of([turn()]).units
    assert unit.judged is None
    assert (unit.replied, unit.dsat) == (0.0, 0.0)


def test_a_reply_without_a_conclusion_is_a_reply_and_no_label():
    (unit,) = of([turn(followed_at=20.0, polarity=Polarity.NONE)]).units
    assert (unit.judged, unit.replied, unit.sat, unit.dsat) == (None, 1.0, 0.0, 0.0)


def test_a_reply_after_the_window_is_censored_and_counted():
    found = of([turn(**answered(0.0, at=110.5))])
    assert found.units[0].judged is None
    assert found.units[0].replied == 0.0
    assert found.dropped["late_reply"] == 1


def test_turns_beyond_the_cap_or_after_the_window_are_left_out_and_counted():
    found = of([turn(at=float(t), **answered(1.0, 60)) for t in (10, 20, 30, 40)] + [turn(at=111.0)])
    assert found.units[0].turns == 3
    assert (found.dropped["over_cap"], found.dropped["after_window"]) == (1, 1)


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        ({"crossed": True}, "crossed"),
        ({"forced": True}, "forced"),
        ({"holdout": True}, "holdout"),
        ({"arm": ArmKind.BASELINE}, "holdout"),
        ({"propensity": 1.0}, "no_information"),
    ],
)
def test_what_says_nothing_about_the_arms_is_left_out_by_cause(fields, cause):
    found = of([replace(turn(**answered(1.0)), **fields)])
    assert found.units == ()
    assert found.dropped == {cause: 1}


def test_a_user_whom_the_ramp_moves_counts_in_the_arm_and_step_of_its_first_matured_turn():
    turns = [turn(at=10, canary=False, w=0.05, **answered(0.0)), turn(at=60, canary=True, w=0.5, **answered(1.0, 70))]
    found = of(turns)
    (unit,) = found.units
    assert (unit.canary, unit.weight, unit.judged) == (False, 0.05, 0.0)
    assert found.dropped["moved"] == 1


@pytest.mark.parametrize("began", [0.0, 0.05, 1.0])
def test_a_conversation_that_began_under_another_weight_is_left_out_on_both_sides(began):
    """Before a step, or on a replica that did not have the table yet. `crossed` alone strikes the arm that changed, and
    stable would keep its second turns, in which people have already said what they want."""
    for canary in (True, False):
        found = of([turn(at=60, canary=canary, w=0.5, conversation_weight=began)])
        assert found.dropped == {"carried": 1}
        kept = of([turn(at=60, canary=canary, w=0.5, conversation_weight=0.5)])
        assert len(kept.units) == 1


def test_both_arms_of_one_step_carry_the_same_weight_to_the_bit():
    weights = {u.weight for u in of([turn("a", canary=True, w=0.05), turn("b", canary=False, w=0.05)]).units}
    assert weights == {0.05}


def test_failed_answers_and_measures_are_shares_of_the_units_turns():
    turns = [
        turn(at=10, completed=False, measures=(Measure("refusal", 1.0, 10.0),)),
        turn(at=20, measures=(Measure("refusal", 0.0, 20.0), Measure("audit", 1.0, 999.0))),
    ]
    (unit,) = of(turns).units
    assert unit.failed == 0.5
    assert unit.measures == (("refusal", 0.5),)


def test_units_that_were_counted_before_are_not_counted_again():
    found = of([turn("a"), turn("b")], counted={"a"})
    assert [u.unit for u in found.units] == ["b"]
    assert found.dropped == {"counted": 1}


def test_a_score_that_is_none_is_refused():
    with pytest.raises(InvalidArgument):
        of([turn(**answered(math.nan))])


TURNS = st.lists(
    st.builds(
        lambda u, at, canary, score, after: turn(
            f"u{u}", at, canary, interaction_id=f"{u}-{at}-{canary}-{after}", **answered(score, at + after)
        ),
        st.integers(0, 5),
        st.integers(0, 400).map(float),
        st.booleans(),
        st.floats(0, 1),
        st.integers(1, 150).map(float),
    ),
    max_size=25,
    unique_by=lambda t: t.interaction_id,
)


@given(TURNS, st.randoms())
@settings(max_examples=80, deadline=None)
def test_the_order_of_arrival_changes_nothing(turns, order: random.Random):
    shuffled = list(turns)
    order.shuffle(shuffled)
    assert of(shuffled, through=300.0).units == of(turns, through=300.0).units


@given(TURNS, TURNS, st.integers(50, 400).map(float))
@settings(max_examples=80, deadline=None)
def test_users_and_records_accepted_later_never_change_an_earlier_score(turns, more, through):
    """Whatever is accepted after the watermark, for old units or new ones, what had matured by it stays."""
    early = [t for t in turns if t.at <= through]
    late = [replace(t, at=t.at + through + 1, interaction_id="late" + t.interaction_id) for t in more]
    before = of(early, through=through).units
    after = [u for u in of([*early, *late], through=1e9).units if u.closes_at <= through]
    assert list(before) == after
