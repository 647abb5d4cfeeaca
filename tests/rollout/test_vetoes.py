import math
import random

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.units import UnitScore
from rejoinder.rollout.vetoes import FAILURES, NORMS, Veto, VetoArm, Vetoes


def unit(i: int, canary: bool, failed: float = 0.0, **measures: float) -> UnitScore:
    return UnitScore(
        f"u{i}", canary, 0.5, float(i), 1, None, 0.0, 0.0, 0.0, failed=failed, measures=tuple(measures.items())
    )


def run(vetoes: Vetoes, n: int, harm: tuple[float, float], name: str, seed: int = 0) -> Vetoes:
    draw = random.Random(seed)
    for i in range(n):
        canary = draw.random() < 0.5
        bad = float(draw.random() < harm[canary])
        vetoes.add(unit(i, canary, failed=bad) if name == FAILURES else unit(i, canary, **{name: bad}))
    return vetoes


def test_a_veto_fires_on_more_harm_and_names_itself_f01():
    assert run(Vetoes([Veto("refusal")]), 800, (0.05, 0.25), "refusal").fired(0.01) == ("refusal",)


def test_failed_answers_count_against_the_arm_from_the_interactions_own_status():
    assert run(Vetoes([Veto(FAILURES, 0.01)]), 800, (0.01, 0.2), FAILURES).fired(0.01) == (FAILURES,)


def test_less_harm_fires_no_one_sided_veto_but_a_difference_either_way_a_two_sided_one():
    for two_sided, fired in ((False, ()), (True, ("outcome",))):
        vetoes = Vetoes([Veto("outcome", 0.5, two_sided=two_sided)])
        assert run(vetoes, 1200, (0.6, 0.3), "outcome").fired(0.01) == fired


def test_k_vetoes_share_their_part_of_the_error():
    one, many = Vetoes([Veto("a")]), Vetoes([Veto(name) for name in "abcdefghij"])
    run(one, 300, (0.05, 0.2), "a", seed=4)
    run(many, 300, (0.05, 0.2), "a", seed=4)
    peak = one.tests["a"].worse.peak
    alpha = math.exp(-peak) * 1.01
    assert one.fired(alpha) == ("a",)
    assert many.fired(alpha) == ()
    assert many.fired(10 * alpha) == ("a",)


def test_norms_are_measured_from_twenty_units_of_either_arm_unless_it_is_said_otherwise():
    vetoes, one = Vetoes([Veto(NORMS)]), Vetoes([Veto(NORMS, min_units=1)])
    for i in range(39):
        for each in (vetoes, one):
            each.add(unit(i, i % 2 == 1, norms=0.0))
    assert (vetoes.unmeasured(), one.unmeasured()) == ((NORMS,), ())
    vetoes.add(unit(39, True, norms=0.0))
    assert vetoes.unmeasured() == ()


def test_a_veto_tells_its_evidence_and_is_measured_once_both_arms_have_enough_units():
    vetoes = Vetoes([Veto("refusal", min_units=2), Veto(FAILURES)])
    for i, (canary, harm) in enumerate([(True, 1.0), (True, 0.0), (False, 0.0)]):
        vetoes.add(unit(i, canary, refusal=harm))
    refusal, failures = vetoes.views(0.01)
    assert (refusal.name, refusal.measured, refusal.fired) == ("refusal", False, False)
    assert (refusal.arms["canary"], refusal.arms["stable"]) == (VetoArm(2, 0.5), VetoArm(1, 0.0))
    assert refusal.log_needed == failures.log_needed == math.log(2 / 0.01)
    assert (failures.measured, vetoes.unmeasured()) == (True, ("refusal",))
    vetoes.add(unit(3, False, refusal=0.0))
    assert vetoes.unmeasured() == ()


def test_a_state_from_before_units_were_counted_is_taken_up():
    state = run(Vetoes([Veto("a")]), 50, (0.1, 0.1), "a").as_dict()
    del state["a"]["arms"]
    again = Vetoes([Veto("a")])
    again.restore(state)
    assert again.tests["a"].moments.n == 50
    assert again.unmeasured() == ("a",)


def test_what_was_not_measured_on_a_unit_counts_for_nothing():
    vetoes = Vetoes([Veto("refusal")])
    vetoes.add(unit(0, True))
    assert vetoes.tests["refusal"].moments.n == 0
    assert (vetoes.log_e, Vetoes([]).log_e, Vetoes([]).fired(0.01)) == (0.0, 0.0, ())


def test_a_state_is_taken_up_only_by_the_same_vetoes():
    state = run(Vetoes([Veto("a"), Veto("b")]), 50, (0.1, 0.1), "a").as_dict()
    again = Vetoes([Veto("a"), Veto("b")])
    again.restore(state)
    assert again.as_dict() == state
    with pytest.raises(BadSettings):
        Vetoes([Veto("a")]).restore(state)


@pytest.mark.parametrize("wrong", [[Veto("a"), Veto("a")]])
def test_two_vetoes_of_one_name_are_refused(wrong):
    with pytest.raises(BadSettings):
        Vetoes(wrong)


def test_a_veto_without_a_name_or_with_an_impossible_rate_is_refused():
    for fields in (
        {"name": ""},
        {"name": "a", "base_rate": 1.5},
        {"name": "a", "base_rate": math.nan},
        {"name": "a", "min_units": 0},
        {"name": "a", "sees": 0.5},
        {"name": "audit", "sees": 0.0},
    ):
        with pytest.raises(BadSettings):
            Veto(**fields)
