"""The signal worker: `python -m rejoinder.signals [--settings FILE]`. It answers health and metrics, nothing else."""

from __future__ import annotations

import asyncio
import sys

from rejoinder.clients.connection import Connection
from rejoinder.clients.ledger import LedgerClient
from rejoinder.clients.owner import LogOwnerClient
from rejoinder.core.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from rejoinder.runtime.serve import run
from rejoinder.runtime.server import Chassis, Room
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.package import load
from rejoinder.signals.settings import SignalsSettings
from rejoinder.signals.worker import Extractor, SignalWorker
from rejoinder.stream.headers import record_of

#: What passes by itself: the peer is away, busy or slow; the same evidence is read again.
PASSING = (Unavailable, ResourceExhausted, DeadlineExceeded)


async def build(settings: SignalsSettings, chassis: Chassis) -> Room:
    read = settings.read
    text = await asyncio.to_thread(load, read.model, threads=read.threads)
    token_file = settings.source.token_file
    token = "" if token_file is None else lambda: token_file.read_text().strip()
    ledger = LedgerClient(Connection(settings.source.ledger, token=token))
    owner = LogOwnerClient(Connection(settings.source.owner, token=token))
    extractors = [Extractor(EXTRACTORS[name], EXTRACTORS[name].with_params(), Ports(text)) for name in read.extractors]

    def publish(signals: object) -> None:
        owner.append([record_of(signal, "rejoinder/signals") for signal in signals])  # type: ignore[attr-defined]
        chassis.metrics["signals_total"].inc(len(signals))  # type: ignore[arg-type]

    worker = SignalWorker(ledger, publish, extractors, read.batch)

    async def reading(stop: asyncio.Event) -> None:
        while not stop.is_set():
            pause = 0.0
            try:
                count = await asyncio.to_thread(worker.turn)
                chassis.metrics["evidence_read_total"].inc(count)
                pause = 0.0 if count else read.idle_s
            except PASSING as error:
                chassis.log.warning("turn_failed", reason=error.reason)
                pause = error.retry_after_s or read.idle_s
            if pause:
                try:
                    await asyncio.wait_for(stop.wait(), pause)
                except TimeoutError:
                    continue

    async def close() -> None:
        await asyncio.to_thread(ledger.close)
        await asyncio.to_thread(owner.close)

    return Room(background=(reading,), close=close)


if __name__ == "__main__":
    sys.exit(run("signals", SignalsSettings, build))
