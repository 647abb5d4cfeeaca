import json
import math
from dataclasses import replace

import pytest
from rejoinder.rollout.evidence import Evidence
from rejoinder.rollout.plan import RolloutPlan
from rejoinder.rollout.units import UnitScore
from rejoinder.rollout.verdict import Look, Outcome, verdict
from rejoinder.rollout.vetoes import FAILURES, Check

PLAN = RolloutPlan(min_units=50)


def said(
    *,
    worse: float = 0.0,
    better: float = 0.0,
    not_worse: float = 9.0,
    stayed: float = 9.0,
    per_turn: float = 0.0,
    moved: float = 0.0,
    fell_silent: float | None = None,
    veto: float = 0.0,
    measured: bool = True,
    assigned: float = 0.0,
    matured: float = 0.0,
    judged: int = 100,
    harm: float | None = None,
    plan: RolloutPlan = PLAN,
    look: Look = Look(),
):
    """A verdict on evidence whose logarithms are set by name: one row of the table at a time."""
    evidence = Evidence(plan)
    tests = evidence.silence.tests
    tests["judged"].worse.peak = worse
    tests["judged"].better.logs = [better] * 6
    tests["judged"].not_worse.logs = [not_worse] * 7
    for name in ("reply", "no_reply"):
        tests[name].not_worse.logs = [stayed] * 7
    for name in ("sat", "no_dsat"):
        tests[name].not_worse.logs = [per_turn] * 7
    tests["reply"].worse.peak = moved
    if fell_silent is not None:
        tests["no_reply"].not_worse.logs = [fell_silent] * 7
    evidence.vetoes.tests[FAILURES].worse.peak = veto
    for tally in evidence.vetoes.tallies[FAILURES].values():
        tally.units = int(measured)
    evidence.assigned.peak, evidence.matured.peak = assigned, matured
    evidence.harm_peak = worse + math.log(0.6) if harm is None else harm
    for tally in evidence.silence.arms.values():
        tally.units = tally.judged = judged
    return verdict(evidence, plan, look)


def check(ok: bool | None) -> Look:
    return Look(checks=(Check("parity", ok),))


ROWS = {
    1: ({"look": check(False), "assigned": 9}, Outcome.WORSE, ("check:parity",)),
    2: ({"assigned": 7.0, "veto": 9, "worse": 9}, Outcome.UNMEASURED, ("sample_ratio:assigned",)),
    3: ({"veto": 4.7, "matured": 9}, Outcome.WORSE, ("veto:failures",)),
    4: ({"matured": 7.0, "worse": 9}, Outcome.UNMEASURED, ("sample_ratio:matured",)),
    5: ({"worse": 3.6, "look": Look(extractor_ok=False)}, Outcome.WORSE, ("satisfaction",)),
    6: ({"look": Look(extractor_ok=False), "judged": 0}, Outcome.UNMEASURED, ("extractor",)),
    7: ({"judged": 49, "look": check(None)}, Outcome.UNMEASURED, ("units",)),
    8: ({"look": check(None), "moved": 9}, Outcome.UNMEASURED, ("check:parity",)),
    9: ({"moved": 5.4, "better": 9}, Outcome.INCONCLUSIVE, ("response_rate",)),
    10: ({"measured": False, "better": 9.0}, Outcome.UNMEASURED, ("veto:failures",)),
    11: ({"better": 3.1}, Outcome.BETTER, ("satisfaction",)),
    12: ({}, Outcome.INCONCLUSIVE, ("satisfaction",)),
}


@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_the_table(row):
    setting, outcome, reasons = ROWS[row]
    found = said(**setting)
    assert (found.outcome, found.reasons) == (outcome, reasons)
    assert found.promotable == (row in (11, 12))


def test_the_rows_are_those_of_the_docstring():
    from rejoinder.rollout import verdict as module

    numbers = [line.split("|")[1].strip() for line in module.__doc__.splitlines() if line.startswith("| ")]
    assert [int(n) for n in numbers if n.isdigit()] == list(ROWS)


def test_a_vetos_harm_is_said_before_it_counts_as_measured_f01():
    found = said(measured=False, veto=9.0)
    assert (found.outcome, found.reasons) == (Outcome.WORSE, ("veto:failures",))


def test_the_snapshot_has_every_vetos_evidence_and_n():
    evidence = Evidence(PLAN)
    for i in range(10):
        evidence.add(_unit(i, i % 2 == 0, 1.0))
    found = verdict(evidence, PLAN).snapshot["vetoes"]
    assert list(found) == [FAILURES]
    assert found[FAILURES]["log_needed"] == pytest.approx(math.log(100))
    assert found[FAILURES]["canary"] == {"units": 5, "harm": 0.0, "unread": 0}
    assert (found[FAILURES]["fired"], found[FAILURES]["measured"]) == (False, True)


def test_no_traffic_is_neither_failure_nor_success_f14():
    found = verdict(Evidence(PLAN), PLAN)
    assert (found.outcome, found.reasons, found.promotable) == (Outcome.UNMEASURED, ("units",), False)


def test_not_worse_is_not_called_better_and_promotes_only_where_the_plan_says_so():
    found = said(not_worse=3.1)
    assert (found.outcome, found.promotable) == (Outcome.INCONCLUSIVE, True)
    strict = replace(PLAN, promote_on="better")
    assert not said(not_worse=3.1, plan=strict).promotable
    assert said(not_worse=3.1, better=3.1, plan=strict).promotable


def test_an_inconclusive_verdict_without_non_inferiority_does_not_promote():
    assert not said(not_worse=2.9).promotable


def test_a_reply_rate_that_is_not_shown_to_have_stayed_promotes_only_on_both_per_interaction_rates():
    # 3.1 is above ln 20, the whole alpha, and below ln 100, the part of a test that guards against silence.
    for setting in ({"stayed": 0.0}, {"stayed": 3.1}, {"fell_silent": 0.0}, {"moved": 5.4}):
        assert said(**setting).reasons == ("response_rate",)
        assert not said(**setting).promotable
        assert not said(**setting, per_turn=3.1).promotable
        assert said(**setting, per_turn=4.7).promotable


def test_harm_is_said_before_there_are_enough_units_to_promote():
    assert said(worse=9.0, judged=3).outcome is Outcome.WORSE


def test_a_harm_once_shown_stays_shown():
    evidence = Evidence(PLAN)
    for i in range(400):
        canary = i % 2 == 0
        evidence.add(_unit(i, canary, 0.0 if canary else 1.0))
    assert verdict(evidence, PLAN).outcome is Outcome.WORSE
    for i in range(400, 3000):
        evidence.add(_unit(i, i % 2 == 0, 1.0 if i % 2 == 0 else 0.0))
    assert verdict(evidence, PLAN).outcome is Outcome.WORSE


def test_the_larger_part_is_named_where_none_got_there_alone():
    assert said(worse=3.4, harm=3.0).reasons == ("satisfaction",)


def test_a_veto_speaks_although_the_crashing_canary_loses_its_traffic():
    assert said(veto=9.0, matured=9.0).reasons == ("veto:failures",)


def test_the_snapshot_is_json_and_the_digest_names_it():
    found = said()
    assert json.loads(json.dumps(found.snapshot)) == found.snapshot
    assert set(found.snapshot) >= {"arms", "interval", "log_e", "sample_ratio_log_e", "reply_moved", "alpha", "margin"}
    assert found.digest == said().digest != said(judged=101).digest


def _unit(i: int, canary: bool, score: float) -> UnitScore:
    return UnitScore(f"u{i:05d}", canary, 0.5, float(i), 1, score, 1.0, score, 1 - score)
