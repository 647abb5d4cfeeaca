"""stream/groups: who reads what, and who may commit."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced
from rejoinder.stream.groups import Commit, Coordinator
from rejoinder.stream.port import Partition, Rebalanced


class Members:
    """Drives a coordinator. owns: the incarnations it was told."""

    def __init__(self, partitions: int = 6) -> None:
        self.clock = ManualClock()
        self.partitions = {"feedback": partitions, "arms": 2}
        self.coordinator = Coordinator(self.partitions.__getitem__, self.clock, 10.0)
        self.alive: dict[str, int] = {}

    def join(self, name: str, *topics: str) -> None:
        self.alive[name] = self.coordinator.join("g", name, topics or ("feedback",))

    def beat(self, name: str) -> Mapping[Partition, int]:
        return self.coordinator.beat("g", name, self.alive[name], ("feedback",))

    def leave(self, name: str) -> None:
        self.coordinator.leave("g", name, self.alive.pop(name))

    def shares(self) -> dict[str, set[Partition]]:
        return {name: set(self.beat(name)) for name in self.alive}


@given(st.lists(st.tuples(st.sampled_from(["join", "leave"]), st.sampled_from("abcde")), max_size=30))
@settings(max_examples=60, deadline=None)
def test_every_partition_has_one_reader_and_shares_differ_by_one(changes: list[tuple[str, str]]) -> None:
    members = Members()
    for what, name in changes:
        if what == "join":
            members.join(name)
        elif name in members.alive:
            members.leave(name)
        shares = members.shares()
        held = [partition for share in shares.values() for partition in share]
        assert sorted(held) == ([("feedback", p) for p in range(6)] if shares else [])
        if shares:
            assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1


def test_a_newcomer_takes_only_its_share() -> None:
    members = Members()
    members.join("a")
    members.join("b")
    before = members.shares()
    members.join("c")
    after = members.shares()
    assert after["a"] < before["a"]
    assert after["b"] < before["b"]
    assert {name: len(share) for name, share in after.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_silent_member_is_out_when_its_session_ends_and_not_before() -> None:
    members = Members()
    members.join("a")
    members.join("b")
    members.clock.advance(9.9)
    assert len(members.beat("a")) == 3
    members.clock.advance(0.2)
    assert len(members.beat("a")) == 6


def test_a_member_that_was_thrown_out_joins_again_by_polling() -> None:
    members = Members()
    members.join("a")
    members.join("b")
    members.clock.advance(11)
    members.beat("a")
    assert len(members.beat("b")) == 3


def test_only_the_last_holder_of_a_name_is_a_member() -> None:
    members = Members()
    members.join("a")
    first = members.alive["a"]
    members.join("a")
    with pytest.raises(Fenced):
        members.coordinator.beat("g", "a", first, ("feedback",))
    members.coordinator.leave("g", "a", first)
    assert len(members.beat("a")) == 6


def commit(members: Members, name: str, held: Mapping[Partition, int]) -> Commit:
    return Commit("g", dict.fromkeys(held, 1), name, members.alive[name], held)


def test_a_commit_is_taken_while_nothing_moved_and_refused_once_a_partition_did() -> None:
    members = Members()
    members.join("a")
    held = members.beat("a")
    members.coordinator.check(commit(members, "a", held))
    members.join("b")
    with pytest.raises(Rebalanced):
        members.coordinator.check(commit(members, "a", held))
    kept = {p: g for p, g in members.beat("a").items() if p in held}
    members.coordinator.check(commit(members, "a", kept))


def test_a_partition_that_went_and_came_back_is_another_one() -> None:
    members = Members()
    members.join("a")
    held = members.beat("a")
    members.join("b")
    members.leave("b")
    assert set(members.beat("a")) == set(held)
    with pytest.raises(Rebalanced):
        members.coordinator.check(commit(members, "a", held))


def test_a_reader_outside_commits_only_for_a_group_without_members() -> None:
    members = Members()
    outside = Commit("g", {("feedback", 0): 1})
    members.coordinator.check(outside)
    members.join("a")
    with pytest.raises(Fenced):
        members.coordinator.check(outside)


def test_members_of_one_group_may_read_different_topics() -> None:
    members = Members()
    members.join("a", "feedback")
    members.join("b", "arms")
    held = {n: set(members.coordinator.beat("g", n, i, ())) for n, i in members.alive.items()}
    assert {topic for topic, _ in held["b"]} == {"arms"}
    assert {topic for topic, _ in held["a"]} == {"feedback"}
    assert sum(map(len, held.values())) == 8


def test_added_partitions_are_shared_out() -> None:
    members = Members()
    members.join("a")
    members.beat("a")
    members.partitions["feedback"] = 8
    assert len(members.beat("a")) == 8
