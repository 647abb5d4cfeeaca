from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rejoinder.core.types import Coordinate
from rejoinder.stream.deadletters import coordinate_of
from rejoinder.stream.topics import (
    OWNABLE,
    TOPICS,
    OwnTopics,
    first_of,
    full_name,
    generation_of,
    kind_of,
    of_kinds,
    own_name,
    owner_of,
    owners_among,
    routes_of,
    with_own,
)

tenants = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable())


@given(tenants)
def test_a_topics_name_says_whose_it_is_in_characters_that_brokers_take(tenant: str) -> None:
    """U19: two processes cannot take one tenant's topic for another's, as no setting stands between name and tenant."""
    for kind in OWNABLE:
        name = own_name(kind, tenant)
        assert (kind_of(name), owner_of(name), generation_of(name)) == (kind, tenant, 1)
        on_broker = full_name("prod.eu", name)
        again = own_name(kind, tenant, 12)
        assert (kind_of(again), owner_of(again), generation_of(again)) == (kind, tenant, 12)
        assert (first_of(again), full_name("prod.eu", again)) == (name, on_broker)
        assert coordinate_of(f"{again}/1/2") == Coordinate(again, 1, 2)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", on_broker)
        assert owners_among("prod.eu", [on_broker]) == {tenant}


@given(tenants, tenants)
def test_two_tenants_share_no_topic_not_even_where_brokers_take_a_dot_for_a_dash(one: str, other: str) -> None:
    """Brokers refuse names that differ in `.` and `_` only."""
    names = [[full_name("p", own_name(k, t)).replace(".", "_") for k in OWNABLE] for t in (one, other)]
    assert (one == other) == bool(set(names[0]) & set(names[1]))


def test_shared_topics_and_those_of_other_installations_are_nobodys() -> None:
    others = [full_name("p.tenant", "feedback"), full_name("q", own_name("feedback", "acme")), "p.tenant.acme.arms.v1"]
    assert owners_among("p", [*(full_name("p", name) for name in TOPICS), *others]) == set()
    assert {owner_of(name) for name in TOPICS} == {""}
    # Whoever may make topics may call them anything.
    assert len(owners_among("p", ["p.tenant._ff.feedback.v1"])) == 1


def test_a_closed_tenant_is_read_and_not_written() -> None:
    topics = with_own({"a": OwnTopics(partitions=2, retention_s=60.0), "b": OwnTopics(closed=True)})
    assert routes_of(topics) == {(kind, "a"): own_name(kind, "a") for kind in OWNABLE}
    assert of_kinds(topics, ("feedback", "erasures")) == ("feedback", "feedback@a", "feedback@b", "erasures")
    own = topics["feedback@a"]
    assert (own.partitions, own.retention_s, own.tenant, own.value) == (2, 60.0, "a", TOPICS["feedback"].value)


@pytest.mark.parametrize("kind", ["erasures", "arms", "rounds"])
def test_what_names_nobody_is_shared_by_all(kind: str) -> None:
    assert own_name(kind, "a") not in with_own({"a": OwnTopics()})
