"""Members of groups, beyond what the contract suite asks of every log."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
from kafka.errors import KafkaTimeoutError
from kafka.future import Future
from kafka.structs import OffsetAndMetadata, TopicPartition
from rejoinder.core.errors import LogUnavailable
from rejoinder.stream.kafka import member as members
from rejoinder.stream.kafka.library import fenced_in_silence, finish_transaction, send_offsets
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.member import KafkaMember
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Rebalanced

from tests.brokers import shared
from tests.chaos.harness import wait_until
from tests.system.kafka.world import UNHURRIED, admin_of, drain, new, opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system


@pytest.fixture
def of() -> KafkaSettings:
    return settings(shared(), **UNHURRIED)


def test_a_reader_that_died_and_came_back_under_its_name_hears_of_added_partitions(of: KafkaSettings) -> None:
    """The group's leader was replaced without being told that it leads; nobody else looks for added partitions."""
    with opened(of) as log:
        log.append([new(f"k{i}", str(i)) for i in range(9)]).result(60)
        dead = log.subscribe("g", ["feedback"], "m1")
        drain(dead, 9)
        dead.commit()
        back = log.subscribe("g", ["feedback"], "m1")
        wait_until(lambda: not back.poll(0.1) and len(back.assignment()) == 3, "the old assignment")
        log.grow("feedback", 6)
        wait_until(lambda: log.partitions("feedback") == 6, "added partitions")
        # What appends has a view of its own, which may be the old one.
        with opened(of) as late:
            late.append([new(f"k{i}", str(i)) for i in range(60)]).result(60)
        assert {record.partition for record in drain(back, 60)} == set(range(6))
        back.close()
        dead.close()


def test_closing_gives_the_partitions_up_at_once(of: KafkaSettings) -> None:
    """The library's static members never say that they leave: the others would wait for the session's end."""
    slow = settings(of.bootstrap, prefix=of.prefix, session_timeout_s=60.0, poll_interval_s=60.0)
    with opened(slow) as log:
        log.append([new(f"k{i}", str(i)) for i in range(9)]).result(60)
        first = log.subscribe("g", ["feedback"], "m1")
        drain(first, 9)
        first.close()
        second = log.subscribe("g", ["feedback"], "m2")
        assert len(drain(second, 9, within_s=30.0)) == 9
        second.close()


def test_members_that_are_polled_for_moments_only_form_their_group(of: KafkaSettings) -> None:
    """The library drops a join that was answered between two polls: the group would be formed anew for ever."""
    with opened(of) as log:
        nine(log)
        members = [log.subscribe("g", ["feedback"], f"m{i}") for i in range(3)]
        pause = threading.Event()

        def fair() -> bool:
            for each in members:
                each.poll(0.0, 1)
                # Long enough for any answer to come while nobody waits for it.
                pause.wait(0.1)
            return [len(each.assignment()) for each in members] == [1, 1, 1]

        wait_until(fair, "the partitions to be shared out")
        for each in members:
            each.close()


def test_a_join_whose_reason_has_passed_is_ended_all_the_same(of: KafkaSettings) -> None:
    """A topic that is away for a moment, or made anew, gives the library a reason to join and takes it away again."""
    with opened(of) as log:
        nine(log)
        member = log.subscribe("g", ["feedback"], "m1")
        drain(member, 9)
        coordinator = member._consumer._coordinator
        known, coordinator._metadata_snapshot = coordinator._metadata_snapshot, {}
        wait_until(lambda: not member.poll(0.0) and coordinator.rejoining, "a join")
        coordinator._metadata_snapshot = known
        log.append([new("k", "more")]).result(60)
        assert [record.value for record in drain(member, 1)] == [b"more"]
        member.close()


def test_a_step_of_another_kind_of_log_is_refused(of: KafkaSettings) -> None:
    with opened(of) as log:
        step = log.transaction("slot-0")
        with pytest.raises(TypeError):
            step.step([new("k", "v")], object())  # type: ignore[arg-type]
        step.close()


def nine(log: KafkaLog) -> None:
    """Three partitions with records in each."""
    log.append([new(f"k{i}", str(i)) for i in range(9)]).result(60)
    assert {record.partition for record in everything(log)} == {0, 1, 2}


def committed(of: KafkaSettings, group: str = "g") -> dict[int, int]:
    """As the brokers have them."""
    name = f"{of.prefix}.{group}"
    with admin_of(of.bootstrap) as admin:
        found = admin.list_group_offsets({name: None})[name]
    return {where.partition: at.offset for where, at in found.items() if at.offset >= 0}


def together(members: list[KafkaMember]) -> None:
    """Polls until each has a share that the others do not have."""

    def shared_out() -> bool:
        for member in members:
            member.poll(0.1)
        shares = [member.assignment() for member in members]
        return all(shares) and sum(map(len, shares)) == 3

    wait_until(shared_out, "a shared-out group")


def test_positions_of_an_undone_step_are_not_committed_by_the_next_one(of: KafkaSettings) -> None:
    """The member lost its partitions inside a step; what it commits later is what it holds then, and no more."""
    with opened(of) as log:
        nine(log)
        first, step = log.subscribe("g", ["feedback"], "m1"), log.transaction("slot-0")
        drain(first, 9)
        assert first._claim is not None
        first._claim = first._claim._replace(generation_id=77)
        with pytest.raises(Rebalanced):
            step.step([new("k", "undone", "signals")], first)
        second = log.subscribe("g", ["feedback"], "m2")
        together([first, second])
        first.rewind()
        drain(first, 1)
        ours = {where.partition for where in first.claim()[1]}
        step.step([new("k", "done", "signals")], first)
        wait_until(lambda: bool(committed(of)), "the step's positions")
        assert second.assignment()
        assert set(committed(of)) == ours < {0, 1, 2}, "a partition of another member was committed"
        for each in (step, first, second):
            each.close()


def test_going_back_asks_anew_and_at_once(of: KafkaSettings) -> None:
    """An answer to a question that was given up is of another time; and one question covers every partition."""
    with opened(of) as log:
        nine(log)
        member = log.subscribe("g", ["feedback"], "m1")
        drain(member, 9)
        coordinator = member._consumer._coordinator
        mine = member._mine()
        old = Future().success(dict.fromkeys(mine, OffsetAndMetadata(1, "", -1)))
        coordinator._offset_fetch_futures[frozenset(mine)] = old
        asked = []
        ask = coordinator.fetch_committed_offsets
        coordinator.fetch_committed_offsets = lambda *given: asked.append(given) or ask(*given)
        member.rewind()
        assert len(asked) == 1
        assert len(drain(member, 9)) == 9
        member.close()


def test_partitions_that_came_or_went_make_answers_old(of: KafkaSettings) -> None:
    with opened(of) as log:
        member = log.subscribe("g", ["feedback"], "m1")
        answers = member._consumer._coordinator._offset_fetch_futures
        for told in ("on_partitions_revoked", "on_partitions_lost", "on_partitions_assigned"):
            answers[frozenset({TopicPartition("t", 0)})] = Future()
            getattr(member._moves, told)([TopicPartition("t", 0)])
            assert not answers
        member.close()


def test_a_member_that_has_not_joined_yet_commits_nothing(of: KafkaSettings) -> None:
    with opened(of) as log:
        member, step = log.subscribe("g", ["feedback"], "m1"), log.transaction("slot-0")
        with pytest.raises(Rebalanced):
            step.step([new("k", "v", "signals")], member)
        with pytest.raises(Rebalanced):
            member.commit()
        step.step([new("k", "v", "signals")])
        for each in (step, member):
            each.close()


def test_a_member_that_is_joining_is_not_taken_for_one_that_was_replaced(of: KafkaSettings) -> None:
    """It stops its heartbeats for the join a moment before it calls itself anything but stable."""
    with opened(of) as log:
        nine(log)
        member = log.subscribe("g", ["feedback"], "m1")
        drain(member, 9)
        coordinator = member._consumer._coordinator
        with coordinator._lock:
            coordinator.rejoining = True
            coordinator._heartbeat_enabled = False
            assert coordinator.stable()
            assert not fenced_in_silence(member._consumer)
            coordinator.rejoining = False
            assert fenced_in_silence(member._consumer)
            coordinator._heartbeat_enabled = True
        member.close()


def test_a_holder_that_has_not_heard_of_its_successor_does_not_throw_it_out(of: KafkaSettings) -> None:
    # A heartbeat in twenty seconds: the old one hears of the young one by nothing else.
    slow = settings(of.bootstrap, prefix=of.prefix, session_timeout_s=400.0, poll_interval_s=400.0)
    with opened(slow) as log:
        nine(log)
        old = log.subscribe("g", ["feedback"], "m1")
        drain(old, 9)
        young = log.subscribe("g", ["feedback"], "m1")
        drain(young, 9)
        assert not fenced_in_silence(old._consumer), "the test was too slow to show anything"
        old.close()
        young.commit()
        assert sum(committed(slow).values()) == 9
        young.close()


def test_positions_that_the_brokers_keep_to_themselves_are_told(of: KafkaSettings) -> None:
    """An open transaction holds them; the library would ask for ever, and its polls would just be empty."""
    short = settings(of.bootstrap, prefix=of.prefix, transaction_s=0.5, request_s=1.0, **UNHURRIED)
    # Open for as long as the test may take.
    with opened(replace(of, transaction_s=100.0)) as log, opened(short) as other:
        nine(log)
        first, step = log.subscribe("g", ["feedback"], "m1"), log.transaction("slot-0")
        drain(first, 9)
        metadata, offsets = first.claim()
        step._producer.begin_transaction()
        send_offsets(step._producer, offsets, metadata, 10.0)
        first.close()
        second = other.subscribe("g", ["feedback"], "m2")
        began = time.monotonic()
        with pytest.raises(LogUnavailable, match="do not tell the group's positions"):
            second.poll(60.0)
        assert 1.5 < time.monotonic() - began < 30.0
        finish_transaction(step._producer, False, 10.0)
        assert len(drain(second, 9)) == 9
        for each in (step, second):
            each.close()


def test_a_member_that_cannot_learn_its_topics_is_closed(of: KafkaSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(consumer: object, timeout_s: float) -> None:
        raise KafkaTimeoutError

    monkeypatch.setattr(members, "learn_topics", away)
    with opened(of) as log:
        before = set(threading.enumerate())
        with pytest.raises(LogUnavailable):
            log.subscribe("g", ["feedback"], "m1")
        wait_until(lambda: set(threading.enumerate()) <= before, "the end of its threads")
