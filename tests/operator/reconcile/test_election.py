"""reconcile/election: one leader, whoever sleeps, is cut off, or has another clock."""

from __future__ import annotations

import pytest
from rejoinder.core.errors import Fenced

from tests.operator.world import World


def test_one_of_two_leads_and_the_other_follows_when_it_is_silent(world: World) -> None:
    first, second = world.process(), world.process()
    assert first.election.try_once(first.writes)
    for _ in range(30):
        world.inner.clock.advance(2.0)
        assert first.election.try_once(first.writes)
        assert not second.election.try_once(second.writes)
    world.inner.clock.advance(14.0)
    assert not second.election.try_once(second.writes), "the lease stood for 14 of 15 s"
    world.inner.clock.advance(1.5)
    assert second.election.try_once(second.writes)


def test_a_leader_that_slept_writes_nothing_before_anybody_else_begins(world: World) -> None:
    world.begin()
    first, second = world.process(), world.process()
    first.look()
    second.election.try_once(second.writes)
    world.inner.clock.advance(10.0)
    before = world.cluster.writes
    for write in (lambda: first.writes.claim("assist", "x", 0.0), lambda: first.writes.create({})):
        with pytest.raises(Fenced):
            write()
    assert world.cluster.writes == before


def test_a_leader_that_slept_between_guard_and_write_is_stopped_where_it_lands(world: World) -> None:
    """The guard has said yes; another has led and written since."""
    world.begin()
    first, second = world.process(), world.process()
    world.jobs = {}
    first.look()
    first.writes.guard = lambda: None
    first.election.try_once = lambda writes: True  # type: ignore[method-assign]
    world.inner.clock.advance(1.0)
    assert not second.election.try_once(second.writes)
    world.inner.clock.advance(16.0)
    for _ in range(4):
        second.look()
    children, claims = children_of(world), world.inner.store.names("rounds/assist")
    first.sync = lambda: None  # type: ignore[method-assign]  # it still sees what it saw
    first.look()
    assert children_of(world) == children
    assert world.inner.store.names("rounds/assist") == claims == ["000001"]


def children_of(world: World) -> list[tuple[str, str]]:
    return [each for each in world.cluster.created if each[0] != "Event"]


def test_a_released_lease_is_taken_at_once(world: World) -> None:
    first, second = world.process(), world.process()
    assert first.election.try_once(first.writes)
    first.election.release(first.writes)
    assert not first.election.leads()
    assert second.election.try_once(second.writes)


def test_a_server_that_does_not_answer_ends_leadership_by_itself(world: World) -> None:
    first = world.process()
    assert first.election.try_once(first.writes)
    world.cluster.away = True
    assert first.election.try_once(first.writes)
    world.inner.clock.advance(10.0)
    assert not first.election.try_once(first.writes)
