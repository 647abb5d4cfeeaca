"""Appending while brokers are slow or away: nothing waits in the caller, everything ends within its time (U02)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.errors import KafkaError
from rejoinder.core.errors import LogUnavailable, QueueFull, TooLong
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Identity, NewRecord

from tests.brokers import Cluster
from tests.chaos.harness import wait_until
from tests.ownclock import OwnClock
from tests.system.kafka.world import new, opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.system

#: A call of `append` that took longer would be felt by everybody on the event loop.
AT_ONCE_S = 0.25
#: Of what must end soon while the brokers stand still, and of what may take its time.
DELIVERY_S = 2.0
HURRIED = {"delivery_s": DELIVERY_S, "request_s": 1.0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pressure")) as running:
        running.start()
        yield running


@pytest.fixture
def clock() -> Iterator[OwnClock]:
    with OwnClock() as made:
        yield made


@pytest.fixture
def of(cluster: Cluster) -> KafkaSettings:
    return settings(cluster.address)


@pytest.fixture
def log(of: KafkaSettings) -> Iterator[KafkaLog]:
    """It waits as long as by default for brokers that nobody stops."""
    with opened(of) as made:
        yield made


@pytest.fixture
def hurried(of: KafkaSettings) -> Iterator[KafkaLog]:
    """The same log with little patience and little room."""
    made = impatient(replace(of, **HURRIED, queue_records=50))
    yield made
    made.close()


def impatient(of: KafkaSettings) -> KafkaLog:
    """A log that gives up soon, opening included: brokers that the machine holds up are asked again."""
    for _ in range(60):
        with suppress(LogUnavailable):
            log = KafkaLog(of)
            wait_until(lambda log=log: not failing_now(log), "the brokers")
            return log
    raise AssertionError("no broker answers")


def put(log: KafkaLog, record: NewRecord, clock: OwnClock) -> Future[object]:
    began = clock.now()
    future = log.append([record])
    assert clock.now() - began < AT_ONCE_S, "append waited"
    return future


def failing(future: Future[object], within_s: float = 60.0) -> Exception:
    error = future.exception(within_s)
    assert isinstance(error, Exception), "it did not fail"
    return error


def test_brokers_that_stop_fill_the_queue_and_are_found_again(
    cluster: Cluster, hurried: KafkaLog, log: KafkaLog, clock: OwnClock
) -> None:
    """QUEUE_FULL at once, LOG_UNAVAILABLE in time, and afterwards the log goes on by itself, in order."""
    cluster.pause(1)
    began = clock.now()
    waiting = [put(hurried, new("k", f"w{i}"), clock) for i in range(50)]
    full = put(hurried, new("k", "too many"), clock)
    assert full.done()
    assert isinstance(failing(full), QueueFull)
    assert failing(full).retry_after_s
    assert {type(failing(future)) for future in waiting} == {LogUnavailable}
    assert clock.now() - began < DELIVERY_S + 1.5, "delivery_s was not kept"
    cluster.resume(1)
    wait_until(lambda: not failing_now(hurried), "the log's recovery")
    stored = [record.value.decode() for record in everything(log) if record.key == b"k"]
    assert len(stored) == len(set(stored)), "something was stored twice"
    kept = [value for value in stored if value.startswith("w")]
    assert kept == sorted(kept, key=lambda value: int(value[1:])), "the order of a key was lost"


def failing_now(log: KafkaLog) -> bool:
    return log.append([new("other", "after")]).exception(60) is not None


def test_a_second_attempt_joins_the_first_while_its_end_is_unknown(
    cluster: Cluster, hurried: KafkaLog, log: KafkaLog, clock: OwnClock
) -> None:
    """F07: the caller was told LOG_UNAVAILABLE and sends the event again; it is stored once."""
    event = NewRecord("feedback", b"retried", b"v", identity=Identity("acme", "e-1", "d"))
    cluster.pause(1)
    assert isinstance(failing(put(hurried, event, clock)), LogUnavailable)
    again = put(hurried, event, clock)
    cluster.resume(1)
    outcome = again.exception(60)
    if outcome is not None:
        wait_until(lambda: hurried.append([event]).exception(60) is None, "the event's third attempt")
    assert len([record for record in everything(log) if record.key == b"retried"]) == 1


async def test_an_event_loop_goes_on_while_a_thousand_appends_wait(cluster: Cluster, clock: OwnClock) -> None:
    log = impatient(settings(cluster.address, **HURRIED))
    cluster.pause(1)
    try:
        futures = []
        for i in range(1000):
            futures.append(put(log, new(f"k{i}", "v"), clock))
            await asyncio.sleep(0)
    finally:
        cluster.resume(1)
    outcomes = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {list, LogUnavailable}
    await asyncio.to_thread(log.close)


def test_a_record_that_is_too_large_is_refused_alone_and_at_once(log: KafkaLog, clock: OwnClock) -> None:
    future = put(log, new("k", "x" * (9 << 20)), clock)
    assert future.done()
    assert isinstance(failing(future), TooLong)
    large = NewRecord("feedback", b"large", b"x" * (7 << 20))
    log.append([large]).result(60)
    assert [len(record.value) for record in everything(log) if record.key == b"large"] == [7 << 20]


def test_a_producer_that_broke_is_replaced(log: KafkaLog) -> None:
    """A request for a producer id that timed out is the end for the library; whoever appends hears of it once."""
    log.append([new("k", "before")]).result(60)
    log._appender._producer._transaction_manager.transition_to_fatal_error(KafkaError("as after a time-out"))
    wait_until(lambda: not failing_now(log), "another producer")
    assert [r.value for r in everything(log) if r.key == b"k"] == [b"before"]


def test_the_last_thing_that_waits_is_written_before_the_log_closes(cluster: Cluster, tmp_path: Path) -> None:
    of = settings(cluster.address, linger_s=0.5)
    log = KafkaLog(of)
    future = log.append([new("k", "last")])
    log.close()
    assert future.result(0)[0].outcome == "recorded"
    with pytest.raises(LogUnavailable):
        log.append([new("k", "later")]).result(1)
