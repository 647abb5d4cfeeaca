from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core.arms import ArmsTable, Lease, Salts, Step, Version, unit_id
from rejoinder.core.ids import uuid7
from rejoinder.core.types import ArmKind
from rejoinder.rollout.assignment import Caller, assign

STABLE, CANARY, OLD = Version("r41", "d41"), Version("r42", "d42"), Version("r1", "d1")
ALL = frozenset({"d41", "d42", "d1"})
NOW = 1_700_000_000.0


def table(*steps: Step, **fields: object) -> ArmsTable:
    base = ArmsTable(
        policy="assist",
        generation=7,
        stable=STABLE,
        canary=CANARY,
        lease=Lease(),
        salts=Salts("r42"),
        steps=steps or (Step(0.2, NOW - 100),),
    )
    return replace(base, **fields)


def shown(arms: ArmsTable, user: str = "", now: float = NOW, lease_ok: bool = True, loaded=ALL, **caller):
    return assign(arms, Caller("t", user_id=user, **caller), now=now, lease_ok=lease_ok, loaded=loaded)


def users(arms: ArmsTable, n: int = 3000, **how):
    return {f"u{i}": shown(arms, f"u{i}", **how) for i in range(n)}


def test_the_canary_gets_its_weight_of_users_outside_the_holdout():
    found = users(table(), 20_000).values()
    outside = [a for a in found if "holdout" not in a.reasons]
    assert len(outside) / len(found) == pytest.approx(0.95, abs=0.01)
    assert sum(a.arm is ArmKind.CANARY for a in outside) / len(outside) == pytest.approx(0.2, abs=0.01)


def test_raising_the_weight_never_takes_the_canary_from_a_user():
    small, large = users(table(Step(0.05, 0.0))), users(table(Step(0.2, 0.0)))
    assert {u for u, a in small.items() if a.arm is ArmKind.CANARY} < {
        u for u, a in large.items() if a.arm is ArmKind.CANARY
    }


@pytest.mark.parametrize(("weight", "arm"), [(0.0, ArmKind.STABLE), (1.0, ArmKind.CANARY)])
def test_at_weight_zero_and_one_everybody_outside_the_holdout_is_shown_one_arm_for_certain(weight, arm):
    outside = [a for a in users(table(Step(weight, 0.0))).values() if "holdout" not in a.reasons]
    assert {(a.arm, a.propensity) for a in outside} == {(arm, 1.0)}


@given(st.text(min_size=1), st.floats(0, 1))
def test_the_propensity_is_that_of_the_arm_shown(user, weight):
    a = shown(table(Step(weight, 0.0), holdout_share=0.0), user)
    assert a.propensity == (weight if a.arm is ArmKind.CANARY else 1 - weight)
    assert (a.bucket < weight) == (a.arm is ArmKind.CANARY)


def test_holdout_users_are_never_canaried_at_any_weight_or_salt_u15():
    held = {u for u, a in users(table(Step(1.0, 0.0))).items() if "holdout" in a.reasons}
    assert held
    for salt in ("r43", "r44"):
        again = users(table(Step(1.0, 0.0), salts=Salts(salt)))
        assert {u for u, a in again.items() if a.arm is not ArmKind.CANARY} == held


def test_the_holdout_is_by_user_even_where_the_conversation_is_the_unit():
    by_user = {u for u, a in users(table()).items() if "holdout" in a.reasons}
    arms = table(unit="conversation")
    by_conversation = {u for u in by_user if "holdout" in shown(arms, u, conversation_id=f"c-{u}").reasons}
    assert by_conversation == by_user


def test_the_baseline_arm_is_a_share_of_the_holdout_and_of_nobody_else():
    arms = table(baseline=OLD, baseline_share=0.5, holdout_share=0.2)
    found = users(arms, 10_000).values()
    held = [a for a in found if "holdout" in a.reasons]
    base = [a for a in found if a.arm is ArmKind.BASELINE]
    assert all(a in held and a.version == "r1" and a.propensity == 0.5 for a in base)
    assert len(base) / len(held) == pytest.approx(0.5, abs=0.05)


def test_a_replica_without_the_baseline_serves_stable_and_says_forced():
    arms = table(baseline=OLD, baseline_share=1.0, holdout_share=1.0)
    a = shown(arms, "anna", loaded=frozenset({"d41"}))
    assert (a.arm, a.version, a.propensity) == (ArmKind.STABLE, "r41", 1.0)
    assert a.served(arms).forced


def test_a_conversation_keeps_the_weight_it_began_with():
    arms = table(Step(0.05, NOW - 100), Step(0.9, NOW - 50), holdout_share=0.0)
    moved = next(u for u, a in users(arms).items() if a.arm is ArmKind.CANARY and a.bucket >= 0.05)
    old = shown(arms, moved, conversation_started_at=NOW - 80)
    assert (old.arm, old.weight, old.propensity, old.reasons) == (ArmKind.STABLE, 0.05, 0.95, ("sticky",))
    before = shown(arms, moved, conversation_started_at=NOW - 500)
    assert (before.arm, before.propensity) == (ArmKind.STABLE, 1.0)
    assert shown(arms, moved, conversation_started_at=NOW - 10).arm is ArmKind.CANARY


def test_a_uuid7_conversation_id_says_when_the_conversation_began():
    arms = table(Step(0.0, NOW - 100), Step(1.0, NOW - 50), holdout_share=0.0)
    assert shown(arms, "anna", conversation_id=uuid7(NOW - 80)).arm is ArmKind.STABLE
    assert shown(arms, "anna", conversation_id=uuid7(NOW - 10)).arm is ArmKind.CANARY
    assert shown(arms, "anna", conversation_id="not-a-uuid").arm is ArmKind.CANARY


def test_a_start_time_in_the_future_means_the_current_weight():
    arms = table(Step(1.0, NOW - 100), holdout_share=0.0)
    assert shown(arms, "anna", conversation_started_at=NOW + 9e9).arm is ArmKind.CANARY


def test_abort_and_lapse_override_stickiness_at_the_next_turn():
    arms = table(Step(1.0, NOW - 100), holdout_share=0.0)
    assert shown(arms, "anna", conversation_started_at=NOW - 50).arm is ArmKind.CANARY
    aborted = replace(arms, canary=None)
    assert shown(aborted, "anna", conversation_started_at=NOW - 50).reasons == ("no_canary",)
    lapsed = shown(arms, "anna", conversation_started_at=NOW - 50, lease_ok=False)
    assert (lapsed.arm, lapsed.propensity, lapsed.reasons) == (ArmKind.STABLE, 1.0, ("lapsed",))


def test_a_replica_without_the_canary_serves_stable_and_flags_only_whom_it_was_meant_for():
    arms = table(Step(0.5, 0.0), holdout_share=0.0)
    meant = {u for u, a in users(arms).items() if a.arm is ArmKind.CANARY}
    without = users(arms, loaded=frozenset({"d41"}))
    assert {u for u, a in without.items() if "forced" in a.reasons} == meant
    assert {(a.arm, a.propensity) for a in without.values()} == {(ArmKind.STABLE, 1.0)}


def test_a_full_spool_sets_the_canary_share_to_zero():
    arms = table(Step(1.0, 0.0), holdout_share=0.0)
    a = assign(arms, Caller("t", "anna"), now=NOW, lease_ok=True, loaded=ALL, spool_has_room=False)
    assert (a.arm, a.reasons) == (ArmKind.STABLE, ("spool_full", "forced"))


def test_one_user_gets_one_arm_in_all_conversations_and_another_salt_draws_anew():
    arms = table(Step(0.5, 0.0), holdout_share=0.0)
    assert len({shown(arms, "anna", conversation_id=f"c{i}").arm for i in range(20)}) == 1
    other = replace(arms, salts=Salts("r43"))
    assert any(shown(arms, u).arm is not shown(other, u).arm for u in (f"u{i}" for i in range(30)))


def test_the_interaction_records_who_answered_and_how_likely_that_was():
    arms = table(Step(1.0, 0.0), holdout_share=0.0)
    served = shown(arms, "anna").served(arms)
    assert (served.policy, served.version, served.digest) == ("assist", "r42", "d42")
    assert (served.arm, served.propensity, served.generation) == (ArmKind.CANARY, 1.0, 7)
    assert not served.forced
    assert not served.holdout
    assert shown(arms, "anna").unit == unit_id("t", "anna", "")
