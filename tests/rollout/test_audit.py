"""rollout/audit: the second judge's differential error, unit by unit."""

import json
import random

import pytest
from rejoinder.core.types import ArmKind, Polarity
from rejoinder.rollout.audit import AUDIT, LEAST_UNITS, Audit
from rejoinder.rollout.units import Audited, Turn, UnitScore, collect
from rejoinder.rollout.vetoes import Veto, VetoArm, Vetoes

SAT, DSAT, NONE, UNREAD = Polarity.SAT, Polarity.DSAT, Polarity.NONE, Polarity.UNSPECIFIED


def unit(i: int, canary: bool, *pairs: tuple[Polarity, Polarity], sees: float = 1.0) -> UnitScore:
    audited = tuple(Audited(first, second, sees) for first, second in pairs)
    return UnitScore(f"u{i}", canary, 0.5, float(i), 1, None, 1.0, 0.0, 0.0, audited=audited)


def judged(n: int, flattered: float, sees: float = 1.0, seed: int = 3) -> Vetoes:
    """Users of whom seven in ten are pleased; the first judge takes a share of the canary's others for pleased."""
    draw, vetoes = random.Random(seed), Vetoes([Veto(AUDIT)])
    for i in range(n):
        canary, pleased = draw.random() < 0.5, draw.random() < 0.7
        first = SAT if pleased or (canary and draw.random() < flattered) else DSAT
        second = (SAT, DSAT)[(draw.random() < 0.1) ^ (not pleased)]
        vetoes.add(unit(i, canary, (first, second), sees=sees))
    return vetoes


def test_a_judge_that_flatters_the_canary_is_caught_and_one_that_errs_alike_is_not():
    assert judged(800, flattered=0.8).fired(0.01) == (AUDIT,)
    assert judged(800, flattered=0.0).fired(0.01) == ()


def test_the_evidence_says_by_how_much_the_first_judge_is_kinder_on_each_arm():
    (view,) = judged(800, flattered=0.8).views(0.01)
    assert view.arms["canary"].harm == pytest.approx(0.30 * 0.8, abs=0.06)
    assert view.arms["stable"].harm == pytest.approx(0.04, abs=0.06)


def better(n: int, sees: float) -> tuple[str, ...]:
    """A canary that pleases 25 points more; the second judge sees half of what the first does."""
    draw, vetoes = random.Random(5), Vetoes([Veto(AUDIT, sees=sees)])
    for i in range(n):
        canary = draw.random() < 0.5
        pleased = draw.random() < (0.9 if canary else 0.65)
        guessed = pleased if draw.random() < 0.5 else draw.random() < 0.5
        vetoes.add(unit(i, canary, (SAT if pleased else DSAT, SAT if guessed else DSAT)))
    return vetoes.fired(0.01)


def test_a_weak_second_judge_vetoes_no_better_version_once_it_is_known_how_much_it_sees():
    assert better(3000, sees=0.5) == ()
    assert better(3000, sees=1.0) == (AUDIT,)


def test_turns_outside_the_sample_and_without_a_reading_enter_no_test():
    audit = Audit()
    audit.add(unit(0, True))
    assert audit.test.moments.n == 0
    audit.add(unit(1, True, (SAT, DSAT), (SAT, UNREAD), (NONE, NONE)))
    audit.add(unit(2, True, (SAT, UNREAD)))
    assert (audit.test.moments.n, audit.test.moments.total) == (1, pytest.approx((1 - 0.5) / 2))
    assert vars(audit.arms["canary"]) == {"units": 1, "sampled": 4, "read": 2, "kinder": 0.5}


def test_a_second_judge_that_is_silent_about_one_arm_shows_no_harm():
    """People's mood rises; of one arm alone that looks like a difference between the arms."""
    draw, vetoes = random.Random(7), Vetoes([Veto(AUDIT)])
    for i in range(900):
        said = SAT if i > 300 else DSAT
        canary = draw.random() < 0.5
        vetoes.add(unit(i, canary, (said, UNREAD if canary else said), sees=0.5))
    assert vetoes.fired(0.01) == ()
    assert vetoes.unmeasured() == (AUDIT,)


def test_nothing_is_tested_while_much_of_the_sample_is_missing_and_again_once_it_is_not():
    audit = Audit()
    for i, second in enumerate([SAT] * 8 + [UNREAD] * 3 + [SAT] * 6):
        audit.add(unit(i, False, (SAT, second)))
    # Three of eleven up to three of fourteen are too many; three of fifteen are a fifth.
    assert (audit.test.moments.n, audit.arms["stable"].units, audit.arms["stable"].read) == (10, 10, 14)


def audited(stable: int, canary: int, unread: int = 0) -> Audit:
    audit = Audit()
    for i in range(stable + canary + unread):
        pair = (SAT, SAT) if i < stable + canary else (SAT, UNREAD)
        audit.add(unit(i, i >= stable, pair))
    return audit


@pytest.mark.parametrize(
    ("sample", "measured"),
    [
        (audited(0, 0), False),
        (audited(LEAST_UNITS, LEAST_UNITS - 1), False),
        (audited(LEAST_UNITS, LEAST_UNITS), True),
        (audited(LEAST_UNITS, LEAST_UNITS, unread=5), True),
        (audited(LEAST_UNITS, LEAST_UNITS, unread=6), False),
    ],
    ids=["no second judge", "too few", "enough", "a fifth unread", "more unread"],
)
def test_an_audit_is_measured_once_both_arms_were_read_and_little_of_the_sample_is_missing(sample, measured):
    assert sample.measured(LEAST_UNITS) is measured


def test_a_state_survives_json_bit_equal_and_goes_on():
    vetoes = judged(200, flattered=0.3)
    again = Vetoes([Veto(AUDIT)])
    again.restore(json.loads(json.dumps(vetoes.as_dict())))
    for each in (vetoes, again):
        each.add(unit(900, True, (SAT, DSAT)))
    assert again.as_dict() == vetoes.as_dict()
    assert again.views(0.01) == vetoes.views(0.01)


def test_a_veto_nobody_reads_for_has_no_harm_and_is_not_measured():
    (view,) = Vetoes([Veto(AUDIT)]).views(0.01)
    assert (view.measured, view.fired, view.arms["canary"]) == (False, False, VetoArm(0, None))


def test_a_reply_that_came_too_late_is_in_no_sample():
    said = Audited(SAT, DSAT)
    turns = [
        Turn("a", "1", 0.0, ArmKind.STABLE, 0.5, followed_at=5.0, audited=said),
        Turn("a", "2", 1.0, ArmKind.STABLE, 0.5, followed_at=50.0, audited=said),
        Turn("a", "3", 2.0, ArmKind.STABLE, 0.5, followed_at=6.0),
    ]
    (found,) = collect(turns, maturity_s=10.0, turns_cap=8, through=100.0).units
    assert found.audited == (said,)
