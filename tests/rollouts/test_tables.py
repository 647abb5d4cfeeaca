"""rollouts/tables: one writer at a time, the highest table in force, rubbish that hides nothing (F11)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rejoinder.core.arms import ArmsTable
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced, LogUnavailable
from rejoinder.rollouts.tables import ArmsTopic
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import NewRecord

from tests.rollouts.world import GOOD, Owner

TABLE = ArmsTable("assist", 1, 1, 1_700_000_000.0, stable=GOOD)


@pytest.fixture
def owner() -> Owner:
    return Owner(MemoryLog(ManualClock()))


def topic(owner: Owner, policy: str = "assist") -> ArmsTopic:
    return ArmsTopic(owner.log, owner, policy)


def test_the_term_is_the_epoch_and_is_taken_once(owner: Owner) -> None:
    one, two = topic(owner), topic(owner)
    one.take()
    one.take()
    two.take()
    assert (one.term, two.term) == (1, 2)


def test_what_was_written_is_read_by_everybody_and_other_policies_are_not(owner: Owner) -> None:
    one, other = topic(owner), topic(owner, "other")
    one.take()
    one.write(TABLE)
    assert topic(owner).read() == TABLE
    assert other.read() is None


def test_the_highest_is_in_force_and_of_equal_ones_the_last(owner: Owner) -> None:
    one = topic(owner)
    one.take()
    later = replace(TABLE, written_at=TABLE.written_at + 10)
    for table in (replace(TABLE, generation=3), later, replace(TABLE, generation=2)):
        one.write(table)
    assert one.read() == replace(TABLE, generation=3)
    one.write(replace(later, generation=3))
    assert one.read() == replace(later, generation=3)


def test_rubbish_under_the_policys_key_hides_nothing(owner: Owner) -> None:
    one = topic(owner)
    one.take()
    for value in (b"\xff\xff", b""):
        owner.log.append([NewRecord("arms", b"assist", value)]).result()
    one.write(TABLE)
    assert one.read() == TABLE


def test_a_fenced_writer_stays_fenced(owner: Owner) -> None:
    old, new = topic(owner), topic(owner)
    old.take()
    new.take()
    assert not old.fenced_by(TABLE)
    for _ in range(2):
        with pytest.raises(Fenced):
            old.write(TABLE)
    assert old.fenced_by(TABLE)
    new.write(TABLE)


def test_a_higher_term_of_another_kind_of_writer_fences_too(owner: Owner) -> None:
    one = topic(owner)
    assert not one.fenced_by(replace(TABLE, term=9))
    one.take()
    assert one.fenced_by(replace(TABLE, term=9))
    assert not one.fenced_by(TABLE)


def test_an_owner_that_is_away_is_asked_again(owner: Owner) -> None:
    one, owner.away = topic(owner), True
    with pytest.raises(LogUnavailable):
        one.take()
    owner.away = False
    one.take()
    assert one.term == 1
