"""How fast the SQLite log acknowledges, printed: `pytest tests/stream/test_sqlite_speed.py -m proof -s`."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rejoinder.core.clock import SystemClock
from rejoinder.stream.port import Identity, NewRecord
from rejoinder.stream.settings import LogSettings
from rejoinder.stream.sqlite import SqliteLog

SECONDS = 4.0
VALUE = os.urandom(512)
HEADERS = tuple((f"ce_{name}", b"x" * 36) for name in ("id", "type", "source", "time"))


@dataclass(frozen=True)
class Speed:
    """rate: acknowledged records per second. p50, p99: seconds from append to acknowledgement."""

    rate: float
    p50: float
    p99: float


def measure(path: Path, appenders: int) -> Speed:
    """Each appender sends one record of 512 bytes at a time and waits for its acknowledgement."""
    log = SqliteLog(str(path), LogSettings(), SystemClock())
    waits: list[list[float]] = [[] for _ in range(appenders)]
    stop = time.perf_counter() + SECONDS

    def write(name: int) -> None:
        n = 0
        while (began := time.perf_counter()) < stop:
            identity = Identity("t", f"{name}-{n}", "d" * 64)
            log.append([NewRecord("feedback", b"t\0c\0%d" % (n % 50), VALUE, HEADERS, identity)]).result()
            waits[name].append(time.perf_counter() - began)
            n += 1

    threads = [threading.Thread(target=write, args=(name,)) for name in range(appenders)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    log.close()
    all_waits = sorted(wait for each in waits for wait in each)
    return Speed(len(all_waits) / took, all_waits[len(all_waits) // 2], all_waits[int(len(all_waits) * 0.99)])


@pytest.mark.proof
def test_appenders_that_wait_together_share_their_fsync(tmp_path: Path) -> None:
    speeds = {n: measure(tmp_path / f"{n}.db", n) for n in (1, 16, 64)}
    for n, speed in speeds.items():
        print(f"\nappenders={n} records/s={speed.rate:.0f} p50_ms={speed.p50 * 1e3:.2f} p99_ms={speed.p99 * 1e3:.2f}")
    assert speeds[64].rate > 3 * speeds[1].rate


@pytest.mark.proof
def test_a_backlog_is_read_faster_than_it_can_be_written(tmp_path: Path) -> None:
    log = SqliteLog(str(tmp_path / "log.db"), LogSettings(), SystemClock())
    count = 40_000
    began = time.perf_counter()
    futures = [
        log.append([NewRecord("feedback", b"%d" % i, VALUE, HEADERS) for i in range(at, at + 100)])
        for at in range(0, 10_000, 100)
    ]
    for future in futures:
        future.result()
    written = 10_000 / (time.perf_counter() - began)
    for at in range(10_000, count, 1_000):
        log.append([NewRecord("feedback", b"%d" % i, VALUE, HEADERS) for i in range(at, at + 1_000)]).result()
    consumer = log.subscribe("g", ["feedback"], "m")
    began = time.perf_counter()
    read = 0
    while records := consumer.poll(0.0):
        read += len(records)
    rate = read / (time.perf_counter() - began)
    log.close()
    print(f"\nbatches of 100: records/s={written:.0f}; read: records/s={rate:.0f}")
    assert read == count
    assert rate > written
