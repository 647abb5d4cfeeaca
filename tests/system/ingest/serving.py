"""Real servers on free loopback ports for the tests beside this file, and logs that misbehave."""

from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.metrics import Metrics
from rejoinder.feedback.ingest import Ingest
from rejoinder.feedback.quotas import quotas_of
from rejoinder.feedback.redact import redactor_of
from rejoinder.feedback.service import FeedbackService
from rejoinder.feedback.settings import FeedbackSettings
from rejoinder.runtime.logging import EventLog, LineFormatter
from rejoinder.runtime.server import Chassis, Room, Server
from rejoinder.runtime.settings import ServerSettings
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Appended, Log, NewRecord
from rejoinder.stream.sqlite import SqliteLog
from rejoinder.v1.feedback_pb2_grpc import add_FeedbackServiceServicer_to_server


class Lines:
    """What a server logs, formatted as a process does. owns: the text."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        handler = logging.StreamHandler(self._stream)
        handler.setFormatter(LineFormatter("feedback"))
        self._logger = logging.Logger("test", logging.INFO)
        self._logger.addHandler(handler)
        self.handler = handler
        self.log = EventLog(self._logger)

    @property
    def text(self) -> str:
        return self._stream.getvalue()


class HeldLog:
    """Takes records and is not done with them until told. owns: the futures it has given out."""

    def __init__(self) -> None:
        self._inner = MemoryLog(SystemClock())
        self._held: list[tuple[Sequence[NewRecord], Future[Sequence[Appended]]]] = []

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        future: Future[Sequence[Appended]] = Future()
        self._held.append((records, future))
        return future

    @property
    def waiting(self) -> int:
        return len(self._held)

    def release(self) -> None:
        for records, future in self._held:
            future.set_result(self._inner.append(records).result())
        self._held.clear()


class FailingLog:
    """Takes nothing. error: what every append ends with."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        future: Future[Sequence[Appended]] = Future()
        future.set_exception(self._error)
        return future


class Running:
    """A started server and what a test asks it. owns: a channel."""

    def __init__(self, server: Server, metrics: Metrics, lines: Lines) -> None:
        self.server = server
        self.metrics = metrics
        self.lines = lines
        self.target = f"127.0.0.1:{server.port}"
        self.channel = grpc.aio.insecure_channel(
            self.target, options=[("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
        )

    async def raw(self, path: str, payload: bytes, **options: Any) -> bytes:
        """Sends bytes as they are; returns bytes as they come."""
        return await self.channel.unary_unary(path)(payload, timeout=60, **options)


def room_of(log: Log, settings: FeedbackSettings, chassis: Chassis) -> Room:
    redactor = redactor_of(settings.redact)
    quotas = quotas_of(settings.quota, settings.server.auth.file, settings.processes)
    ingest = Ingest(log, settings.limits, settings.log.dedupe_s, chassis.clock, chassis.metrics, redactor, quotas)
    owned = log if isinstance(log, SqliteLog) else None
    return Room(add=(partial(add_FeedbackServiceServicer_to_server, FeedbackService(ingest, owned, settings.limits)),))


@asynccontextmanager
async def running(
    log: Log | None = None,
    server: ServerSettings | None = None,
    settings: FeedbackSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Running]:
    """An ingest server over a log (a fresh one in memory unless given), drained at the end."""
    clock = clock or SystemClock()
    kept = log if log is not None else MemoryLog(clock)
    settings = settings or FeedbackSettings()
    lines, metrics = Lines(), Metrics()

    async def build(chassis: Chassis) -> Room:
        return room_of(kept, settings, chassis)

    started = Server(server or ServerSettings(grace_s=1.0), build, Chassis("feedback", clock, metrics, lines.log))
    await started.start()
    out = Running(started, metrics, lines)
    try:
        yield out
    finally:
        await out.channel.close()
        await started.drain()
