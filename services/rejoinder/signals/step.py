"""The worker's step where the work is shared out on Kafka: references to joined evidence in, signals out.

Any number of workers are members of one group on the topic `evidence`, named after their extractors: another version is
another group and reads everything again (U17). Each has a slot: its member name and its transactional id. Signals and
positions are one transaction, and which worker reads what changes nothing, since a signal is a function of the piece it
is about (`signals_of`) and so is its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

from rejoinder.core.clock import Clock
from rejoinder.core.errors import (
    PASSING,
    InvalidArgument,
    RejoinderError,
    Unavailable,
)
from rejoinder.core.types import EvidenceReference
from rejoinder.signals.second import Auditor
from rejoinder.signals.worker import Extractor, Piece, reader_of, signals_of, unread
from rejoinder.stream.consumer import StopFlag, Worker, WorkerSettings
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.port import Log, NewRecord, Record

SOURCE = "rejoinder/signals"


class References(Protocol):
    """The ledger, by RPC."""

    def fetch_evidence(self, reader: str, references: Sequence[EvidenceReference]) -> Sequence[Piece]:
        """The pieces behind references; those that are gone are left out."""


class SignalStep:
    """A `stream.consumer.Step`. owns: `gone`, the references that it met whose piece was erased or joined anew, and
    `unread`, the signals that it made of turns in an unknown language."""

    def __init__(self, ledger: References, extractors: Sequence[Extractor], auditor: Auditor | None = None) -> None:
        self._ledger = ledger
        self._auditor = auditor
        self._extractors = tuple(extractors)
        self._reader = reader_of(extractors)
        self.gone = self.unread = 0

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        # Told twice, read once: the relay repeats itself after a kill.
        references = list(dict.fromkeys(event_of(record) for record in records))
        pieces = self._fetched(references)
        self.gone += len(references) - len(pieces)
        signals = signals_of(self._extractors, pieces, self._auditor)
        self.unread += unread(signals)
        return [record_of(signal, SOURCE) for signal in signals]

    def close(self) -> None:
        """Holds nothing: the ledger's client belongs to the process."""

    def _fetched(self, references: Sequence[EvidenceReference]) -> Sequence[Piece]:
        """A ledger that refuses (a wrong token, an older version) is no fault of the evidence: then nothing is read, or
        a slip in the settings would carry the topic into the dead letters."""
        try:
            return self._ledger.fetch_evidence(self._reader, references)
        except (*PASSING, InvalidArgument):
            # The last: a piece that this version cannot decode.
            raise
        except RejoinderError as error:
            raise Unavailable(f"the ledger gives no evidence out: {error.reason}") from None


def shared_worker(
    log: Log,
    step: SignalStep,
    extractors: Sequence[Extractor],
    slot: str,
    clock: Clock,
    stop: StopFlag,
    wait: Callable[[float], None],
    batch: int = 128,
    poll_s: float = 0.2,
    attempts: int = 20,
) -> Worker:
    """The worker of a slot. batch: most references of a step; poll_s: how late it notices a stop."""
    reader = reader_of(extractors)
    # A reference names nobody, so its dead letter needs no key to be found by for an erasure.
    dead_letters = DeadLetters(b"", clock, SOURCE)
    settings = WorkerSettings(
        group=reader,
        topics=("evidence",),
        member=slot,
        transactional_id=f"{reader}/{slot}",
        poll_s=poll_s,
        max_records=batch,
        attempts=attempts,
    )
    return Worker(log, step, dead_letters, settings, clock, stop, wait)


def slot_of(setting: str, hostname: str) -> str:
    """The slot as set, else the ordinal of a StatefulSet's pod, else "0"."""
    found = re.search(r"-(\d+)$", hostname)
    return setting or (found.group(1) if found else "0")
