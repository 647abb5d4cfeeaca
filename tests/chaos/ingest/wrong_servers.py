"""Ingest servers that are wrong on purpose: what the harness must find. `python wrong_servers.py early | forgetful S`.

early: acknowledges what it will write soon (F06). forgetful: knows no second copies, and answers S seconds late, so
that a kill falls between the commit and the answer (F07).
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from rejoinder.core.types import Coordinate
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.logs import open_log
from rejoinder.feedback.service import FeedbackService
from rejoinder.feedback.settings import FeedbackSettings
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.stream.port import Appended, Log, NewRecord
from rejoinder.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server

#: Batches behind which a batch is written: more than callers, so that whenever a kill falls, and however late on a busy
#: machine, some that callers were told of are not written yet.
HELD = 12


class EarlyLog:
    """Says "durable" at once and writes a moment later: when HELD more batches have come. owns: what it holds."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: deque[Sequence[NewRecord]] = deque()
        self._lock = threading.Lock()

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        with self._lock:
            self._held.append(records)
            if len(self._held) > HELD:
                self._log.append(self._held.popleft())
        future: Future[Sequence[Appended]] = Future()
        future.set_result([Appended("recorded", Coordinate(record.topic)) for record in records])
        return future

    def close(self) -> None:
        """A drain is no kill: even this one writes what it promised when it is asked to leave."""
        for future in [self._log.append(records) for records in self._held]:
            future.result()
        self._log.close()


class ForgetfulLog:
    """Does not look for second copies; the answer comes `late_s` after the commit."""

    def __init__(self, log: Log, late_s: float) -> None:
        self._log = log
        self._late_s = late_s

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        late: Future[Sequence[Appended]] = Future()
        inner = self._log.append([replace(record, identity=None) for record in records])
        inner.add_done_callback(lambda done: threading.Timer(self._late_s, late.set_result, [done.result()]).start())
        return late

    def close(self) -> None:
        self._log.close()


def wrong_log(log: Log, kind: str, late_s: str = "") -> EarlyLog | ForgetfulLog:
    return EarlyLog(log) if kind == "early" else ForgetfulLog(log, float(late_s))


async def build(how: Sequence[str], settings: FeedbackSettings, chassis: Chassis) -> Room:
    wrong = wrong_log(open_log(settings.log, chassis.clock), *how)
    ingest = Ingest(wrong, settings.limits, settings.log.dedupe_s, chassis.clock, chassis.metrics)
    return Room(
        add=(partial(add_FeedbackServiceServicer_to_server, FeedbackService(ingest, None)),),
        close=partial(asyncio.to_thread, wrong.close),
    )


if __name__ == "__main__":
    sys.exit(run("feedback", FeedbackSettings, partial(build, sys.argv[1:]), argv=[]))
