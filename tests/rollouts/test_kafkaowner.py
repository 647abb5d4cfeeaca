"""rollouts/kafkaowner: terms that rise without an epoch to count them (F11). On real brokers: tests/system/kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from rejoinder.core.arms import ArmsTable
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import Fenced, LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.rollouts.kafkaowner import KafkaOwner
from rejoinder.stream.headers import record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import NewRecord
from rejoinder.stream.steps import EpochTransaction

from tests.rollouts.world import GOOD

ID = "arms/assist"


def table(term: int, policy: str = "assist", generation: int = 1) -> NewRecord:
    return record_of(ArmsTable(policy, term, generation, 1_700_000_000.0, stable=GOOD), "test")


class Unanswered(MemoryLog):
    """Takes the next step and does not say so. owns: whether it will."""

    silent = False

    def transaction(self, transactional_id: str) -> EpochTransaction:
        inner = super().transaction(transactional_id)
        if not self.silent:
            return inner
        self.silent = False
        return _Silent(self, transactional_id, inner._epoch)


class _Silent(EpochTransaction):
    def step(self, records: Sequence[NewRecord], consumer: object = None) -> Sequence[object]:
        super().step(records)
        raise LogUnavailable("no answer")


def test_a_term_is_one_above_the_highest_on_the_topic_of_that_policy() -> None:
    log = MemoryLog(ManualClock())
    log.append([table(7), table(9, "other"), NewRecord("arms", b"assist", b"\xff")]).result()
    assert KafkaOwner(log, "assist").begin_epoch(ID) == 8
    assert KafkaOwner(log, "new").begin_epoch("arms/new") == 1


def test_whoever_held_the_id_before_is_fenced() -> None:
    log = MemoryLog(ManualClock())
    one, two = KafkaOwner(log, "assist"), KafkaOwner(log, "assist")
    one.begin_epoch(ID)
    two.begin_epoch(ID)
    with pytest.raises(Fenced):
        one.commit_step(ID, 1, [table(1)], "", {})
    two.commit_step(ID, 1, [table(1)], "", {})


def test_after_a_step_without_an_answer_the_id_is_taken_again() -> None:
    log = Unanswered(ManualClock())
    log.silent = True
    owner = KafkaOwner(log, "assist")
    term = owner.begin_epoch(ID)
    with pytest.raises(LogUnavailable):
        owner.commit_step(ID, term, [table(term)], "", {})
    owner.commit_step(ID, term, [table(term)], "", {})
    assert log.end_offsets("arms") != log.start_offsets("arms")


def test_a_successors_higher_term_keeps_it_from_writing_again() -> None:
    log = Unanswered(ManualClock())
    log.silent = True
    owner = KafkaOwner(log, "assist")
    term = owner.begin_epoch(ID)
    with pytest.raises(LogUnavailable):
        owner.commit_step(ID, term, [table(term)], "", {})
    log.append([table(term + 1)]).result()
    with pytest.raises(Fenced):
        owner.commit_step(ID, term, [table(term)], "", {})


def test_a_successors_table_of_the_same_term_keeps_it_from_writing_again() -> None:
    """F11: a leader paused inside its first write; its successor found no table, so it counts the same term."""
    log = MemoryLog(ManualClock())
    one, two = KafkaOwner(log, "assist"), KafkaOwner(log, "assist")
    assert one.begin_epoch(ID) == 1
    one._transaction = _Away()
    with pytest.raises(LogUnavailable):
        one.commit_step(ID, 1, [table(1)], "", {})
    assert two.begin_epoch(ID) == 1
    two.commit_step(ID, 1, [table(1, generation=7)], "", {})
    for _ in range(2):
        with pytest.raises(Fenced):
            one.commit_step(ID, 1, [table(1)], "", {})
    two.commit_step(ID, 1, [table(1, generation=8)], "", {})


class _Away:
    """A transaction whose broker was never reached."""

    def step(self, records: Sequence[NewRecord], consumer: object = None) -> Sequence[Coordinate]:
        raise LogUnavailable("no answer")

    def close(self) -> None: ...


def test_a_topic_that_cannot_be_read_lets_nothing_through_unlooked_at() -> None:
    """The successor writes between the first look and the id; the second look, which would find it, fails."""
    log = _Unread(ManualClock())
    owner, other = KafkaOwner(log, "assist"), KafkaOwner(log, "assist")
    owner.begin_epoch(ID)
    owner._transaction = _Away()
    with pytest.raises(LogUnavailable):
        owner.commit_step(ID, 1, [table(1)], "", {})
    other.begin_epoch(ID)
    log.meanwhile = lambda: other.commit_step(ID, 1, [table(1, generation=7)], "", {})
    with pytest.raises(LogUnavailable):
        owner.commit_step(ID, 1, [table(1)], "", {})
    with pytest.raises(Fenced):
        owner.commit_step(ID, 1, [table(1)], "", {})


class _Unread(MemoryLog):
    """Something happens before an id is taken, and the next question for the ends fails. owns: what, and whether."""

    meanwhile: Callable[[], object] | None = None
    away = False

    def transaction(self, transactional_id: str) -> EpochTransaction:
        if self.meanwhile is not None:
            happens, self.meanwhile = self.meanwhile, None
            happens()
            self.away = True
        return super().transaction(transactional_id)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        if self.away:
            self.away = False
            raise LogUnavailable("away")
        return super().end_offsets(topic)
