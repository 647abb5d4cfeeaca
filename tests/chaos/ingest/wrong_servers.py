"""Ingest servers that are wrong on purpose: what the harness must find. `python wrong_servers.py early | forgetful`.

early: acknowledges what it will write soon (F06). forgetful: knows no second copies, and answers late enough for a
kill to fall between the commit and the answer (F07).
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
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

LATE_S = 0.1


class EarlyLog:
    """Says "durable" at once and writes a moment later."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        threading.Timer(LATE_S, self._log.append, [records]).start()
        future: Future[Sequence[Appended]] = Future()
        future.set_result([Appended("recorded", Coordinate(record.topic)) for record in records])
        return future


class ForgetfulLog:
    """Does not look for second copies; the answer comes a moment after the commit."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        late: Future[Sequence[Appended]] = Future()
        inner = self._log.append([replace(record, identity=None) for record in records])
        inner.add_done_callback(lambda done: threading.Timer(LATE_S, late.set_result, [done.result()]).start())
        return late


WRONG = {"early": EarlyLog, "forgetful": ForgetfulLog}


async def build(kind: str, settings: FeedbackSettings, chassis: Chassis) -> Room:
    log = open_log(settings.log, chassis.clock)
    wrong = WRONG[kind](log)
    ingest = Ingest(wrong, settings.limits, settings.log.dedupe_s, chassis.clock, chassis.metrics)
    return Room(
        add=(partial(add_FeedbackServiceServicer_to_server, FeedbackService(ingest, None)),),
        close=partial(asyncio.to_thread, partial(_let_go, log)),
    )


def _let_go(log: Log) -> None:
    # A drain is no kill: even this server writes what it promised when it is asked to leave.
    time.sleep(2 * LATE_S)
    log.close()


if __name__ == "__main__":
    sys.exit(run("feedback", FeedbackSettings, partial(build, sys.argv[1]), argv=[]))
