"""The signal worker: `python -m rejoinder.signals [--settings FILE]`. It answers health and metrics, nothing else."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence

from rejoinder.clients.connection import Connection, token_in
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.errors import PASSING
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Signal
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.signals.chat import ChatEndpoint
from rejoinder.signals.extractors import EXTRACTORS, endpoint
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.package import load
from rejoinder.signals.second import Auditor
from rejoinder.signals.settings import AuditTheme, ReadTheme, SignalsSettings
from rejoinder.signals.step import SOURCE, SignalStep, shared_worker, slot_of
from rejoinder.signals.worker import Extractor, SignalWorker, unread
from rejoinder.stream.consumer import StopFlag
from rejoinder.stream.headers import record_of
from rejoinder.stream.opening import kafka_log
from rejoinder.stream.port import Log

#: Between two looks at what a shared worker has done, seconds.
TOLD_S = 1.0

#: Metrics of a worker that shares the work.
COUNTED = (
    "evidence_read_total",
    "signals_total",
    "signals_unknown_language_total",
    "evidence_gone_total",
    "evidence_dead_lettered_total",
)

Reading = Callable[[asyncio.Event], Awaitable[None]]


def extractors_of(read: ReadTheme) -> list[Extractor]:
    """The rows as set; the text model is loaded where one of them reads words."""
    rows = [EXTRACTORS[name] for name in read.extractors]
    words = any(row.traits.get("needs_text") for row in rows)
    ports = Ports(load(read.model, threads=read.threads, own=read.calibration)) if words else Ports()
    return [Extractor(row, row.with_params(), ports) for row in rows]


def second_of(audit: AuditTheme, chassis: Chassis) -> Auditor | None:
    """The second judge of the audit sample as set."""
    if not audit.judge:
        return None
    row, chat = EXTRACTORS[audit.judge], None
    if audit.judge == endpoint.NAME:
        known: set[str] = set()

        def missed(why: str) -> None:
            # How often is a metric's matter.
            if why not in known:
                known.add(why)
                chassis.log.warning("second_judge_silent", why=why)

        asked = audit.endpoint
        chat = ChatEndpoint(asked.url, asked.model, asked.key_file, asked.wait_s, asked.parallel, chassis.clock, missed)
    judge = Extractor(row, row.with_params(), Ports(chat=chat))
    return Auditor(judge, audit.share, audit.seed)


class AuditMeter:
    """Tells the metrics what the auditor has done since. owns: what was told."""

    def __init__(self, auditor: Auditor | None, metrics: Metrics) -> None:
        self._auditor = auditor
        self._metrics = metrics
        self._told = {"audit_asked_total": 0, "audit_unread_total": 0}

    def tell(self) -> None:
        if self._auditor is None:
            return
        for name, now in zip(self._told, (self._auditor.asked, self._auditor.unread), strict=True):
            self._metrics[name].inc(now - self._told[name])
            self._told[name] = now


def alone(
    settings: SignalsSettings,
    chassis: Chassis,
    ledger: LedgerClient,
    owner: LogOwnerClient,
    rows: Sequence[Extractor],
    auditor: Auditor | None = None,
) -> Reading:
    """The one worker of a SQLite log: it asks the ledger and appends through the log's owner."""

    def publish(signals: Sequence[Signal]) -> None:
        owner.append([record_of(signal, SOURCE) for signal in signals])
        chassis.metrics["signals_total"].inc(len(signals))
        chassis.metrics["signals_unknown_language_total"].inc(unread(signals))

    worker = SignalWorker(ledger, publish, rows, settings.read.batch, auditor)
    audited = AuditMeter(auditor, chassis.metrics)

    async def reading(stop: asyncio.Event) -> None:
        while not stop.is_set():
            pause = 0.0
            try:
                count = await asyncio.to_thread(worker.turn)
                chassis.metrics["evidence_read_total"].inc(count)
                audited.tell()
                pause = 0.0 if count else settings.read.idle_s
            # The same evidence is read again.
            except PASSING as error:
                chassis.log.warning("turn_failed", reason=error.reason)
                pause = error.retry_after_s or settings.read.idle_s
            if pause:
                try:
                    await asyncio.wait_for(stop.wait(), pause)
                except TimeoutError:
                    continue

    return reading


def shared(
    settings: SignalsSettings,
    chassis: Chassis,
    ledger: LedgerClient,
    log: Log,
    rows: Sequence[Extractor],
    auditor: Auditor | None = None,
) -> Reading:
    """One of the workers that share the work on Kafka. What ends it (FENCED: its slot was taken; a log that takes no
    dead letters) ends the process."""
    flag, ending = StopFlag(), threading.Event()
    step = SignalStep(ledger, rows, auditor)
    audited = AuditMeter(auditor, chassis.metrics)
    slot = slot_of(settings.source.slot, os.environ.get("HOSTNAME", ""))
    read, attempts = settings.read, settings.source.attempts

    def pause(seconds: float) -> None:
        ending.wait(seconds)

    worker = shared_worker(log, step, rows, slot, chassis.clock, flag, pause, read.batch, read.idle_s, attempts)
    told = dict.fromkeys(COUNTED, 0)

    def tell() -> None:
        done = worker.counts
        counts = (done.read, done.produced, step.unread, step.gone, done.dead_lettered)
        for name, now in zip(told, counts, strict=True):
            chassis.metrics[name].inc(now - told[name])
            told[name] = now
        audited.tell()

    async def reading(stop: asyncio.Event) -> None:
        chassis.log.info("slot_taken", slot=slot)
        working = asyncio.create_task(asyncio.to_thread(worker.run))
        stopping = asyncio.create_task(stop.wait())
        while not (working.done() or stopping.done()):
            await asyncio.wait({working, stopping}, timeout=TOLD_S, return_when=asyncio.FIRST_COMPLETED)
            tell()
        flag.ask()
        ending.set()
        stopping.cancel()
        try:
            await working
        finally:
            tell()

    return reading


async def build(settings: SignalsSettings, chassis: Chassis) -> Room:
    settings.check()
    source = settings.source
    second = second_of(settings.audit, chassis)
    rows = await asyncio.to_thread(extractors_of, settings.read)
    token = token_in(source.token_file)
    ledger = LedgerClient(Connection(source.ledger, source.tls, token))
    if source.log == "kafka":
        log = await asyncio.to_thread(kafka_log, source.kafka.model_dump(), "rejoinder-signals", False)
        reading, close_log = shared(settings, chassis, ledger, log, rows, second), log.close
    else:
        owner = LogOwnerClient(Connection(source.owner, source.tls, token))
        reading, close_log = alone(settings, chassis, ledger, owner, rows, second), owner.close

    async def close() -> None:
        await asyncio.to_thread(ledger.close)
        await asyncio.to_thread(close_log)

    return Room(background=(reading,), close=close)


if __name__ == "__main__":
    sys.exit(run("signals", SignalsSettings, build))
