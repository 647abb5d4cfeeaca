import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core.arms import (
    ArmsTable,
    Lease,
    Salts,
    Step,
    Version,
    bucket,
    population,
    unit_id,
    weight_at,
)
from rejoinder.core.errors import BadSettings

STABLE, CANARY = Version("assist-r0041", "sha256:a"), Version("assist-r0042", "sha256:b")


def table(**fields: object) -> ArmsTable:
    return ArmsTable(policy="assist", stable=STABLE, **fields)


def test_a_table_survives_json_with_every_part_set():
    full = table(
        term=3,
        generation=7,
        written_at=1.5,
        salts=Salts("r0042", "h", "s"),
        holdout_share=0.1,
        baseline_share=0.2,
        canary=CANARY,
        baseline=Version("assist-r0001", "sha256:c"),
        steps=(Step(0.05, 1.0), Step(0.2, 2.0)),
        lease=Lease(30.0, 2.0, 32.0),
        frozen=True,
        reason="step",
    )
    assert ArmsTable.from_dict(json.loads(json.dumps(full.as_dict()))) == full
    assert ArmsTable.from_dict(table().as_dict()) == table()


@pytest.mark.parametrize(
    "wrong",
    [
        {"canary": CANARY},
        {"canary": CANARY, "lease": Lease()},
        {"holdout_share": 1.1},
        {"holdout_share": math.nan},
        {"steps": (Step(-0.1, 0.0),)},
        {"steps": (Step(0.1, 2.0), Step(0.2, 1.0))},
        {"unit": "turn"},
        {"lease": Lease(ttl_s=0.0)},
    ],
)
def test_a_table_that_cannot_be_served_is_refused(wrong):
    with pytest.raises(BadSettings):
        table(**wrong)


def test_a_table_without_a_policy_or_a_stable_version_is_refused():
    with pytest.raises(BadSettings):
        ArmsTable(policy="", stable=STABLE)
    with pytest.raises(BadSettings):
        ArmsTable(policy="assist")


def test_a_greater_term_outranks_any_generation():
    assert table(term=2, generation=1).order > table(term=1, generation=99).order


def test_the_weight_is_zero_without_a_canary_even_when_steps_remain():
    assert table(steps=(Step(0.5, 0.0),)).weight == 0.0


@given(st.text(), st.text())
def test_a_bucket_lies_in_zero_to_one_and_never_changes(unit, salt):
    place = bucket(unit, salt)
    assert 0.0 <= place < 1.0
    assert place == bucket(unit, salt)


def test_buckets_are_uniform_and_salts_are_independent():
    places = [(bucket(f"u{i}", "a"), bucket(f"u{i}", "b")) for i in range(20_000)]
    for k in range(10):
        assert abs(sum(k / 10 <= a < (k + 1) / 10 for a, _ in places) / 20_000 - 0.1) < 0.01
    both = sum(a < 0.5 and b < 0.5 for a, b in places) / 20_000
    assert abs(both - 0.25) < 0.015


def test_users_are_cut_into_holdout_and_seventy_fifteen_fifteen_of_the_rest():
    cut = [population(f"u{i}", Salts(), 0.10) for i in range(40_000)]
    shares = {name: cut.count(name) / len(cut) for name in ("holdout", "pairs", "gate", "evaluation")}
    assert shares["holdout"] == pytest.approx(0.10, abs=0.006)
    assert shares["pairs"] == pytest.approx(0.63, abs=0.01)
    assert shares["gate"] == pytest.approx(0.135, abs=0.007)
    assert shares["evaluation"] == pytest.approx(0.135, abs=0.007)


def test_a_new_rollout_moves_nobody_between_populations_u15():
    before, after = Salts("r0042"), Salts("r0043")
    assert all(population(f"u{i}", before, 0.1) == population(f"u{i}", after, 0.1) for i in range(2000))


def test_a_larger_holdout_holds_the_smaller_one():
    units = [f"u{i}" for i in range(2000)]
    small = {u for u in units if population(u, Salts(), 0.05) == "holdout"}
    large = {u for u in units if population(u, Salts(), 0.20) == "holdout"}
    assert small < large


def test_the_unit_is_the_user_then_the_conversation_then_the_interaction():
    assert unit_id("t", "anna", "c1") == unit_id("t", "anna", "c2")
    assert unit_id("t", "", "c1", "i1") == unit_id("t", "", "c1", "i2")
    assert unit_id("t", "", "", "i1") != unit_id("t", "", "", "i2")
    assert unit_id("t", "anna", "c1", kind="conversation") != unit_id("t", "anna", "c2", kind="conversation")


def test_a_user_a_conversation_and_another_tenants_user_of_one_name_are_three_units():
    assert len({unit_id("t", "x", ""), unit_id("t", "", "x"), unit_id("t", "", "", "x"), unit_id("s", "x", "")}) == 4


def test_the_weight_in_force_is_that_of_the_last_step_before():
    steps = (Step(0.05, 10.0), Step(0.2, 20.0))
    assert [weight_at(steps, at) for at in (9.9, 10.0, 19.9, 20.0, 99.0)] == [0.0, 0.05, 0.05, 0.2, 0.2]


def test_no_tenant_is_the_default_tenant_wherever_a_user_is_cut() -> None:
    """Serving knows the tenant as it came, the ledger as it is kept: both must hold out the same people (F05)."""
    for kind, names in (("user", ("ann", "")), ("conversation", ("", "c1"))):
        assert unit_id("", *names, kind=kind) == unit_id("default", *names, kind=kind)
    assert unit_id("", "ann", "") != unit_id("other", "ann", "")
