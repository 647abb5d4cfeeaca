"""rollout/shadow: pairs of answers that nobody saw, counted by replica, tested at every look."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from rejoinder.core.errors import BadSettings
from rejoinder.rollout.sample_ratio import MOST_PROCESSES
from rejoinder.rollout.sequential import LAMBDAS, NI_CLIP, Wealth
from rejoinder.rollout.shadow import Count, Marks, Scored, ShadowEvidence, harms
from rejoinder.rollout.vetoes import Veto

SAID = Marks(failed=False, tokens=20, refused=False, broken=False)
FAILURES, LENGTH = Veto("failures", 0.01), Veto("length")


def scored(pairs: int, candidate: int, shown: int = 0, epoch: str = "a", veto: str = "failures", **more) -> Scored:
    return Scored(epoch, "salt", pairs, (Count(veto, pairs, shown, candidate, 0),), **more)


def test_each_harm_is_told_of_the_answer_that_did_it():
    assert harms(SAID, SAID) == {name: (False, False) for name in ("failures", "length", "refusals", "norms")}
    assert harms(SAID, replace(SAID, refused=True))["refusals"] == (False, True)
    assert harms(replace(SAID, broken=True), SAID)["norms"] == (True, False)
    assert harms(SAID, Marks(failed=True)) == {"failures": (False, True)}


@pytest.mark.parametrize(
    ("shown", "again", "grew"),
    [
        (SAID, replace(SAID, tokens=40), (False, False)),
        (SAID, replace(SAID, tokens=41), (False, True)),
        (replace(SAID, tokens=41), SAID, (True, False)),
        (SAID, replace(SAID, tokens=21, cut=True), (False, True)),
        (replace(SAID, cut=True), replace(SAID, cut=True), (False, False)),
    ],
)
def test_length_is_a_matter_of_the_two_answers_alone(shown, again, grew):
    assert harms(shown, again)["length"] == grew


def test_what_is_not_measured_on_both_is_not_counted():
    assert "norms" not in harms(SAID, replace(SAID, broken=None))
    assert "refusals" not in harms(replace(SAID, refused=None), SAID)


def test_the_e_value_of_counts_is_the_product_of_the_bets_in_any_order():
    wealth, pairs = Wealth([0.0] * len(LAMBDAS)), [1] * 7 + [-1] * 3 + [0] * 20
    random.Random(1).shuffle(pairs)
    for d in pairs:
        wealth.bet([NI_CLIP * each * d for each in LAMBDAS])
    assert Count("failures", 30, shown=3, candidate=7).log_e() == pytest.approx(wealth.log_e, abs=1e-12)


def test_harm_fires_at_k_over_alpha_and_stays_shown():
    evidence = ShadowEvidence((FAILURES, LENGTH))
    evidence.take(scored(9, 9))
    assert evidence.fired(0.005) == ()
    assert evidence.take(scored(40, 20))
    assert evidence.fired(0.005) == ("failures",)
    evidence.take(scored(900, 20, shown=400))
    assert evidence.fired(0.005) == ("failures",), "what was shown once is not taken back"
    (failures, length) = evidence.views(0.005, 50)
    assert failures.log_needed == pytest.approx(math.log(2 / 0.005))
    assert (failures.fired, failures.count.candidate, length.fired, length.count.pairs) == (True, 20, False, 0)
    assert (failures.measured, length.measured) == (True, False), "silence without pairs says nothing"


def test_a_better_candidate_fires_nothing_but_a_two_sided_veto():
    told = scored(60, 0, shown=40, veto="length")
    for veto, fired in ((LENGTH, ()), (replace(LENGTH, two_sided=True), ("length",))):
        evidence = ShadowEvidence((veto,))
        evidence.take(told)
        assert evidence.fired(0.005) == fired


def test_replicas_are_tests_of_their_own_and_sums_for_people():
    evidence = ShadowEvidence((FAILURES,))
    for k in range(4):
        assert evidence.take(scored(12, 3, epoch=f"r{k}", dropped=1, shown_tokens=240, candidate_tokens=360))
    assert not evidence.take(scored(12, 3, epoch="r0", dropped=1, shown_tokens=240, candidate_tokens=360))
    total = evidence.total
    assert (total.pairs, total.dropped, total.shown_tokens, total.vetoes[0].candidate) == (48, 4, 960, 12)
    one = Count("failures", 12, 0, 3).log_e() - math.log(2)
    assert evidence.views(0.005, 50)[0].log_e == pytest.approx(one), "the first of four, not all four together"


def test_a_replica_that_starts_anew_is_another_one_and_a_total_never_falls():
    evidence = ShadowEvidence((FAILURES,))
    evidence.take(scored(12, 3))
    assert not evidence.take(scored(2, 0))
    assert evidence.take(scored(2, 0, epoch="b"))
    assert evidence.total.pairs == 14
    assert not evidence.take(scored(0, 0, epoch="c")), "nothing yet"


def test_of_more_processes_than_are_remembered_the_first_count_and_none_counts_twice():
    evidence = ShadowEvidence((FAILURES,))
    for _ in range(5):
        for k in range(200):
            evidence.take(scored(2, 1, epoch=f"r{k}"))
    assert (evidence.total.pairs, evidence.total.vetoes[0].candidate) == (2 * MOST_PROCESSES, MOST_PROCESSES)
    assert evidence.take(scored(40, 40, epoch="r0"))
    one = Count("failures", 40, 0, 40).log_e() - math.log(2)
    assert evidence.views(0.005, 50)[0].log_e == pytest.approx(one), "it is the first still"


def test_time_counts_while_replicas_go_on_and_no_longer_than_they_do_by_themselves():
    evidence = ShadowEvidence((FAILURES,))
    for now in (100.0, 101.0, 102.5):
        evidence.kept(now, 30.0)
    assert evidence.kept_s == 2.5
    evidence.kept(500.0, 30.0)
    assert evidence.kept_s == 32.5, "who looked was away, and its last order lapsed"
    assert evidence.stands()
    assert not evidence.stands()
    evidence.kept(600.0, 30.0)
    evidence.kept(601.0, 30.0)
    assert evidence.kept_s == 33.5


def test_the_state_goes_through_json_and_on_as_if_nothing_had_been():
    evidence = ShadowEvidence((FAILURES, LENGTH))
    for k in range(70):
        evidence.take(scored(5, k % 3, epoch=f"r{k}"))
        evidence.kept(float(k), 30.0)
    back = ShadowEvidence((FAILURES, LENGTH))
    back.restore(json.loads(json.dumps(evidence.as_dict())))
    assert back.as_dict() == evidence.as_dict()
    for each in (evidence, back):
        each.take(scored(9, 9, epoch="r60"))
        each.kept(80.0, 30.0)
    assert back.as_dict() == evidence.as_dict()
    assert (back.views(0.005, 50), back.total) == (evidence.views(0.005, 50), evidence.total)
    with pytest.raises(BadSettings, match="changed"):
        ShadowEvidence((FAILURES,)).restore(evidence.as_dict())


def alarms(turns: int, runs: int = 300, users: int = 60) -> float:
    """Share of fair candidates of which harm is said at 5 %: to some users it is better, to others as much worse, and
    each user asks so many times."""
    rng, false = random.Random(3), 0
    for _ in range(runs):
        ones = others = 0
        for _ in range(users):
            worse = rng.random() < 0.5
            ones, others = ones + turns * worse, others + turns * (not worse)
            if Count("length", ones + others, others, ones).log_e() >= math.log(1 / 0.05):
                false += 1
                break
    return false / runs


def test_a_fair_candidate_is_kept_where_of_a_user_one_pair_counts():
    assert alarms(turns=1) <= 0.05
    assert alarms(turns=4) > 0.10, "the control: pairs of one user are no independent coins"
