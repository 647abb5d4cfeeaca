"""The ingest process: `python -m rejoinder.feedback [--settings FILE]`."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from rejoinder.feedback.housekeeping import keep_house
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.logs import open_log
from rejoinder.feedback.quotas import quotas_of
from rejoinder.feedback.redact import redactor_of
from rejoinder.feedback.service import FeedbackService
from rejoinder.feedback.settings import FeedbackSettings
from rejoinder.runtime.serve import RARELY, run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server


async def build(settings: FeedbackSettings, chassis: Chassis) -> Room:
    settings.check()
    redactor = redactor_of(settings.redact)
    auth = settings.server.auth
    # Whom an issuer's tokens name stands in no file.
    quotas = quotas_of(settings.quota, None if auth.jwt.issuer else auth.file, settings.processes)
    log = await asyncio.to_thread(open_log, settings.log, chassis.clock)
    owned = log if isinstance(log, SqliteLog) else None
    ingest = Ingest(log, settings.limits, settings.log.dedupe_s, chassis.clock, chassis.metrics, redactor, quotas)
    return Room(
        add=(partial(add_FeedbackServiceServicer_to_server, FeedbackService(ingest, owned, settings.limits)),),
        background=() if owned is None else (partial(keep_house, owned, settings.log.housekeeping_s, chassis.log),),
        close=partial(asyncio.to_thread, log.close),
    )


if __name__ == "__main__":
    sys.exit(run("feedback", FeedbackSettings, build, settled=RARELY))
