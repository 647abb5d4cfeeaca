"""Brokers and workers that die: what was acknowledged is there once, and readers wait no longer than they must."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from kafka.errors import KafkaError
from rejoinder.core.errors import Fenced, LogUnavailable, RejoinderError
from rejoinder.stream.kafka.library import finish_transaction, last_error, translated
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings

from tests.brokers import Cluster, shared
from tests.chaos.harness import wait_until
from tests.ownclock import Standstill
from tests.system.kafka.world import drain, new, opened, settings
from tests.system.logs import everything

pytestmark = pytest.mark.chaos

#: The brokers look for overdue transactions every second (tests/brokers.py), and a reader polls.
SLACK_S = 3.0
#: Of members that are to live, however long a busy machine keeps them waiting.
LIVING: dict[str, Any] = {"session_timeout_s": 10.0, "poll_interval_s": 60.0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("killed")) as running:
        running.start()
        yield running


class Writer:
    """Appends numbered records under one key, one after another. owns: a thread until `stop`."""

    def __init__(self, log: KafkaLog, key: str) -> None:
        self.acknowledged: list[int] = []
        self.refused: list[str] = []
        self._log = log
        self._key = key
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            futures = [(n, self._log.append([new(self._key, str(n))])) for n in range(number, number + 20)]
            number += 20
            for n, future in futures:
                try:
                    future.result(100)
                    self.acknowledged.append(n)
                except RejoinderError as error:
                    self.refused.append(error.reason)


def test_a_broker_killed_under_traffic_loses_doubles_and_reorders_nothing(cluster: Cluster) -> None:
    """F06, F07: kill -9 and a restart on the same folder, twice; the client is told to do nothing."""
    with opened(settings(cluster.address)) as log:
        writers = [Writer(log, f"k{i}") for i in range(3)]
        try:
            for _ in range(2):
                traffic(writers)
                cluster.kill(1)
                cluster.start(1)
            traffic(writers)
        finally:
            for writer in writers:
                writer.stop()
        stored = defaultdict(list)
        for record in everything(log):
            stored[record.key.decode()].append(int(record.value))
        for i, writer in enumerate(writers):
            there = stored[f"k{i}"]
            assert len(there) == len(set(there)), "stored twice"
            assert set(writer.acknowledged) <= set(there), "acknowledged and lost"
            assert there == sorted(there), "the order of a key was lost"
            assert not writer.refused, "a restart of seconds is within delivery_s"
        print(f"acknowledged {sum(len(w.acknowledged) for w in writers)}, stored {sum(map(len, stored.values()))}")


def traffic(writers: list[Writer]) -> None:
    """Until every writer had more acknowledged."""
    before = [len(writer.acknowledged) for writer in writers]
    wait_until(
        lambda: all(len(w.acknowledged) > count + 200 for w, count in zip(writers, before, strict=True)), "traffic"
    )


INSIDE = """
import os, sys
from rejoinder.stream.kafka import library, transaction
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import NewRecord

log = KafkaLog(KafkaSettings(**eval(sys.argv[1])))
member = log.subscribe("workers", ["feedback"], "slot-0")
assert member.poll(30.0), "nothing to read"
step = log.transaction("slot-0")

def stopped(*_):
    step._producer.flush()
    print("inside", flush=True)
    sys.stdin.read()

transaction.finish_transaction = stopped
step.step([NewRecord("signals", b"k", b"half")], member)
"""


def killed_inside_a_transaction(of: KafkaSettings) -> float:
    """A worker of its own process, killed -9 with records written, positions sent and no commit; when it died."""
    fields = {name: getattr(of, name) for name in of.__dataclass_fields__}
    process = subprocess.Popen(
        [sys.executable, "-c", INSIDE, repr(fields)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"inside\n"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
    return time.monotonic()


def test_a_worker_killed_inside_a_transaction_delays_readers_by_its_timeout_and_doubles_nothing() -> None:
    """Nobody takes its slot: the brokers undo the step after `transaction_s`, and what comes later is read then."""
    of = settings(shared(), transaction_s=3.0)
    with opened(of) as log, Standstill() as stood:
        log.append([new("k", "source")]).result(60)
        reader = log.subscribe("readers", ["signals"], "m1")
        died = killed_inside_a_transaction(of)
        log.append([new("k", "behind it", "signals")]).result(60)
        assert [record.value for record in drain(reader, 1)] == [b"behind it"]
        read = time.monotonic()
        # Its positions died with it: the heir reads the source again.
        heir = log.subscribe("workers", ["feedback"], "slot-1")
        assert [record.value for record in drain(heir, 1)] == [b"source"]
        assert [record.value for record in everything(log, "signals")] == [b"behind it"]
        heir.close()
        reader.close()
    delay = read - died - stood.within(died, read)
    print(f"readers waited {delay:.1f} s")
    assert delay < of.transaction_s + SLACK_S


def test_whoever_takes_the_slot_of_a_killed_worker_ends_its_transaction_at_once() -> None:
    """By itself the transaction would hold readers for two minutes, twice as long as this test waits for anything."""
    of = settings(shared(), transaction_s=120.0, **LIVING)
    with opened(of) as log:
        log.append([new("k", "source")]).result(60)
        died = killed_inside_a_transaction(of)
        heir = log.transaction("slot-0")
        member = log.subscribe("workers", ["feedback"], "slot-0")
        assert [record.value for record in drain(member, 1)] == [b"source"]
        heir.step([new("k", "whole", "signals")], member)
        wait_until(lambda: [r.value for r in everything(log, "signals")] == [b"whole"], "the heir's step")
        assert time.monotonic() - died < of.transaction_s, "the successor waited for the dead one's timeout"
        heir.close()
        member.close()


def test_a_writer_that_slept_past_its_transaction_is_fenced(cluster: Cluster) -> None:
    """The zombie: its step is undone by the brokers while it sleeps, and its commit comes too late."""
    # Long enough that it is not undone before the record is there.
    of = settings(cluster.address, transaction_s=4.0)
    with opened(of) as log:
        zombie = log.transaction("slot-0")
        producer = zombie._producer
        producer.begin_transaction()
        sent = producer.send(f"{of.prefix}.signals.v1", b"stale", b"k")
        sent.get(60)
        wait_until(lambda: everything_is_stable(log, "signals", sent.value.offset), "the brokers' abort")
        # It wakes where it slept: at its commit.
        with pytest.raises(KafkaError):
            finish_transaction(producer, True, 10.0)
        assert isinstance(translated(last_error(producer), "taking a step"), Fenced)
        with pytest.raises(Fenced):
            zombie.step([new("k", "more", "signals")])
        young = log.transaction("slot-0")
        young.step([new("k", "fresh", "signals")])
        wait_until(lambda: [r.value for r in everything(log, "signals")] == [b"fresh"], "the successor's step")
        for each in (zombie, young):
            each.close()


def everything_is_stable(log: KafkaLog, topic: str, offset: int) -> bool:
    """Whether some partition's stable end has passed an offset: no transaction is open before it."""
    return any(end > offset for end in log.end_offsets(topic).values())


def test_a_step_that_no_broker_answers_is_settled_by_taking_the_id_anew(cluster: Cluster) -> None:
    """The broker dies before the step's first word reaches it: its caller is told in time, and the committed positions
    say what became of it. Nothing is lost, nothing doubles."""
    of = settings(cluster.address, **LIVING)
    hurried = replace(of, transaction_s=3.0, request_s=3.0)
    with opened(of) as log, opened(hurried) as told, Standstill() as stood:
        for i in range(30):
            log.append([new(f"k{i}", str(i))]).result(60)
        member = told.subscribe("workers", ["feedback"], "slot-0")
        step = told.transaction("slot-0")
        first = [record.value for record in drain(member, 30)]
        cluster.kill(1)
        began = time.monotonic()
        with pytest.raises(LogUnavailable):
            step.step([new("k", value.decode(), "signals") for value in first], member)
        refused = time.monotonic()
        with pytest.raises(LogUnavailable):
            step.step([new("k", "again", "signals")], member)
        step.close()
        member.close()
        cluster.start(1)
        step = log.transaction("slot-0")
        member = log.subscribe("workers", ["feedback"], "slot-0")
        done: set[bytes] = set()

        def finished() -> bool:
            records = member.poll(0.5)
            if records:
                step.step([new("k", record.value.decode(), "signals") for record in records], member)
                done.update(record.value for record in records)
            return len(done | stored(log)) >= 30

        wait_until(finished, "all records handled")
        wait_until(lambda: len(everything(log, "signals")) == 30, "all steps")
        assert len(stored(log)) == 30
        step.close()
        member.close()
    assert refused - began - stood.within(began, refused) < hurried.transaction_s + SLACK_S


def stored(log: KafkaLog) -> set[bytes]:
    return {record.value for record in everything(log, "signals")}
