"""stream/kafka/appender: what goes on while a producer breaks. On real brokers: tests/system/kafka/test_pressure.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors as ke
from kafka.producer.record_accumulator import RecordAccumulator
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.stream.kafka.appender import Appender, _Call
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.partition import partition_of
from rejoinder.stream.port import Appended, Identity, NewRecord

from tests.chaos.harness import wait_until

NAMES = {"feedback": "t.feedback.v1"}
#: Never waited for unless something is broken.
_LONG_S = 60.0


class Producer:
    """The library's own accumulator, and no broker. owns: both, and how often its thread was woken.

    leader: which broker has a partition; what it raises is no error of the library's.
    """

    def __init__(self, fatal: Callable[[], bool] = lambda: False, leader: Callable[[int], int] = lambda at: 0) -> None:
        self._transaction_manager = SimpleNamespace(has_fatal_error=fatal)
        self._accumulator = RecordAccumulator(linger_ms=5)
        self._metadata = SimpleNamespace(
            partitions_for_topic=lambda name: {0, 1}, leader_for_partition=lambda at: leader(at.partition)
        )
        self._sender = SimpleNamespace(wakeup=self._wake)
        self._closed = False
        self.woken = 0

    def _wake(self) -> None:
        self.woken += 1

    def partitions_for(self, name: str) -> set[int]:
        return {0, 1}

    def take(self) -> None:
        """All that it has lies on the brokers now."""
        for batch in self._accumulator._incomplete.all():
            self._accumulator._batches[batch.topic_partition].remove(batch)
            self._accumulator.deallocate(batch)
            batch.records.close()
            batch.complete(7, -1)

    def close(self, timeout: float) -> None: ...


def topics_that_went(at: int) -> int:
    raise KeyError("a topic went between two looks at the brokers' answer")


#: Of two partitions.
ONE, OTHER = (next(b"%d" % n for n in range(99) if partition_of(b"%d" % n, 2) == at) for at in range(2))


@pytest.fixture
def opened() -> Iterator[Callable[..., Appender]]:
    appenders: list[Appender] = []

    def open_with(make: Callable[[], Any], delivery_s: float = 0.2) -> Appender:
        appenders.append(Appender(make, NAMES, KafkaSettings(delivery_s=delivery_s)))
        return appenders[-1]

    yield open_with
    for each in appenders:
        each.close()


def test_a_record_that_cannot_be_sent_gives_its_place_back(opened: Callable[..., Appender]) -> None:
    producer = Producer()
    producer._metadata.partitions_for_topic = topics_that_went
    appender = opened(lambda: producer)
    for _ in range(3):
        assert isinstance(appender.append([NewRecord("feedback", b"k", b"v")]).exception(_LONG_S), LogUnavailable)
    assert (appender._records, appender._bytes) == (0, 0)
    assert not producer._accumulator.has_incomplete


def test_a_call_that_is_broken_off_ends_when_what_was_taken_of_it_has_ended(opened: Callable[..., Appender]) -> None:
    """The id of a record that was handed over stays known until its end is; that of one that was not is free."""
    producer = Producer(leader=topics_that_went)
    appender = opened(lambda: producer, _LONG_S)
    ids = [Identity("acme", event, "digest") for event in ("taken", "not")]
    records = [NewRecord("feedback", key, b"v", (), of) for key, of in zip((ONE, OTHER), ids, strict=True)]
    call = appender.append(records)
    assert producer.woken == 1, "what was taken must be sent"
    assert (call.done(), appender._records, len(appender._recent)) == (False, 2, 1)
    again = appender.append(records[:1])
    producer.take()
    assert isinstance(call.exception(_LONG_S), LogUnavailable)
    assert again.result(_LONG_S) == [Appended("duplicate", Coordinate("feedback", 0, 7))]
    assert (appender._records, appender._bytes) == (0, 0)


def test_a_call_gives_its_place_back_once(opened: Callable[..., Appender]) -> None:
    """All of it lies on the brokers when handing it over fails after all."""
    producer = Producer(leader=lambda at: (producer.take(), topics_that_went(at))[1])
    appender = opened(lambda: producer, _LONG_S)
    assert appender.append([NewRecord("feedback", b"k", b"v")]).result(_LONG_S)[0].outcome == "recorded"
    assert (appender._records, appender._bytes) == (0, 0)


class Unknowing(Producer):
    """It may not look at its topics. owns: whether it was closed."""

    closed = False

    def partitions_for(self, name: str) -> set[int]:
        raise ke.TopicAuthorizationFailedError(name)

    def close(self, timeout: float) -> None:
        self.closed = True


def test_a_producer_that_cannot_learn_its_topics_is_closed_and_told(opened: Callable[..., Appender]) -> None:
    producer = Unknowing()
    with pytest.raises(LogUnavailable, match="do not allow it: learning the topics"):
        opened(lambda: producer)
    assert producer.closed


def overdue(appender: Appender) -> Exception:
    """What a call hears that has been due for long."""
    call = _Call(1, 1, 0.0)
    appender._calls.append(call)
    error = call.exception(_LONG_S)
    assert isinstance(error, Exception)
    return error


def test_calls_are_late_in_time_while_a_producer_is_replaced(opened: Callable[..., Appender]) -> None:
    made = iter([Producer(lambda: True)])
    asked, answered = threading.Event(), threading.Event()

    def make() -> Producer:
        if (first := next(made, None)) is not None:
            return first
        asked.set()
        answered.wait()
        return Producer()

    appender = opened(make)
    try:
        assert asked.wait(_LONG_S)
        assert isinstance(overdue(appender), LogUnavailable)
    finally:
        answered.set()


def test_calls_are_late_in_time_after_a_look_that_failed(
    opened: Callable[..., Appender], caplog: pytest.LogCaptureFixture
) -> None:
    looks = iter([ValueError("secret")])

    def fatal() -> bool:
        for error in looks:
            raise error
        return False

    appender = opened(lambda: Producer(fatal))
    wait_until(lambda: "look failed error=ValueError" in caplog.text, "a failed look")
    assert isinstance(overdue(appender), LogUnavailable)
    assert "secret" not in caplog.text


def test_a_producer_that_breaks_again_and_again_is_replaced_at_growing_distances(
    opened: Callable[..., Appender],
) -> None:
    made: Queue[float] = Queue()

    def make() -> Producer:
        made.put(time.monotonic())
        return Producer(lambda: True)

    opened(make)
    first, *later = [made.get(timeout=_LONG_S) for _ in range(5)]
    assert later[-1] - first > 0.1 + 0.2 + 0.4


def test_a_caller_who_gives_up_cancels_nothing_that_is_on_its_way() -> None:
    call = _Call(1, 1, 0.0)
    assert not call.cancel()
    assert call.tell([(0, Appended("recorded", Coordinate("feedback", 0, 7)))])
    assert call.result(0)[0].coordinate.offset == 7
    assert not call.cancel()
