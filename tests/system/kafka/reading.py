"""What the tests of the signal workers stand on, here and in chaos/kafka: evidence that arrives, a ledger that relays
it, and what one worker alone would make of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kafka import KafkaAdminClient
from rejoinder.core import codec
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import uuid7
from rejoinder.core.types import EvidenceReference, Feedback, Interaction, Rating, Regenerate, Signal
from rejoinder.ledger.book import Ledger
from rejoinder.ledger.intake.relay import Relay
from rejoinder.ledger.reading.evidence import NumberedEvidence, evidence_of, note_reader
from rejoinder.ledger.settings import Forgetting, LedgerSettings
from rejoinder.ledger.stores.schema import joined, readers, signals
from rejoinder.ledger.stores.store import Store
from rejoinder.signals.extractors import EXTRACTORS
from rejoinder.signals.extractors.evidence import Ports
from rejoinder.signals.step import References, SignalStep, shared_worker
from rejoinder.signals.worker import Extractor, SignalWorker, reader_of
from rejoinder.stream.consumer import StopFlag, Worker
from rejoinder.stream.headers import record_of
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from sqlalchemy import func, select

NAMES = ("ratings", "actions")


def extractors() -> list[Extractor]:
    """Rows that read no words: what they conclude is equal to the last bit, however it is batched."""
    return [Extractor(EXTRACTORS[name], EXTRACTORS[name].with_params(), Ports()) for name in NAMES]


def reader() -> str:
    return reader_of(extractors())


def arrive(log: KafkaLog, numbers: Sequence[int]) -> None:
    """An answer and what its user did about it, each; durable on return."""
    records = []
    for n in numbers:
        named = {"user_id": f"u{n % 7}", "interaction_id": f"i{n}", "attempt_id": f"a{n}"}
        said = Rating(number=float(n % 5 + 1), scale_min=1.0, scale_max=5.0) if n % 3 else Regenerate()
        records.append(record_of(Interaction(event_id=f"e{n}", response="hi", **named), "/test"))
        records.append(record_of(Feedback(event_id=f"f{n}", kind=said, **named), "/test"))
    log.append(records).result(30)


class Arriving:
    """Evidence that keeps arriving, a few pieces at a time. owns: a thread until `stop`."""

    def __init__(self, log: KafkaLog, pace_s: float = 0.05) -> None:
        self.count = 0
        self._log = log
        self._pace_s = pace_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(self._pace_s):
            arrive(self._log, range(self.count, self.count + 5))
            self.count += 5


class Keeping:
    """A ledger in this process that projects and relays. owns: it, its log, and a thread until `close`."""

    def __init__(self, of: KafkaSettings, folder: Path) -> None:
        self.log = KafkaLog(of)
        self.ledger = Ledger(folder / "ledger.db", LedgerSettings(Forgetting(b"a key of the tests")))
        note_reader(self.ledger.store, reader())
        self.errors: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def store(self) -> Store:
        return self.ledger.store

    @property
    def direct(self) -> Direct:
        return Direct(self.store)

    def _run(self) -> None:
        relay = Relay(self.store, self.log, SystemClock())
        while not self._stopped.wait(0.02):
            try:
                self.ledger.project_once(self.log)
                relay.turn()
            except RejoinderError as error:
                self.errors.append(error.reason)

    def close(self) -> None:
        self._stopped.set()
        self._thread.join()
        self.log.close()
        self.ledger.close()


class Direct:
    """A `signals.step.References` that reads a ledger's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def fetch_evidence(self, reader: str, references: Sequence[EvidenceReference]) -> list[NumberedEvidence]:
        return list(evidence_of(self._store, sorted(references, key=lambda reference: reference.number)))


class Slot:
    """A worker of one slot with a log of its own, on a thread from `start` to `stop`. error: what ended it."""

    def __init__(
        self, of: KafkaSettings, ledger: References, slot: str, rows: Sequence[Extractor] = (), attempts: int = 20
    ) -> None:
        self.error: RejoinderError | None = None
        self._flag = StopFlag()
        self._log = KafkaLog(of, appends=False)
        rows = rows or extractors()
        self._ending = threading.Event()
        self.worker: Worker = shared_worker(
            self._log,
            SignalStep(ledger, rows),
            rows,
            slot,
            SystemClock(),
            self._flag,
            self._wait,
            poll_s=0.1,
            attempts=attempts,
        )
        self._thread = threading.Thread(target=self._run)

    def start(self) -> Slot:
        self._thread.start()
        return self

    def __enter__(self) -> Slot:
        return self.start()

    def __exit__(self, kind: object, error: object, at: object) -> None:
        self.stop()

    def _wait(self, seconds: float) -> None:
        self._ending.wait(seconds)

    def _run(self) -> None:
        try:
            self.worker.run()
        except RejoinderError as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        self._flag.ask()
        self._ending.set()
        self._thread.join()
        self._log.close()


def told(evidence: Callable[[str, int, int], Sequence[NumberedEvidence]]) -> Mapping[str, str]:
    """What one worker alone makes of everything that is joined: id of each signal → digest of what it says."""
    made: list[Signal] = []
    # Each time from the first number on.
    name = uuid7()

    class Source:
        def evidence(self, reader: str, acknowledged: int, limit: int) -> Sequence[NumberedEvidence]:
            return evidence(name, acknowledged, limit)

    SignalWorker(Source(), made.extend, extractors()).drain()
    return {signal.event_id: codec.body_digest(signal) for signal in made}


def stored(store: Store) -> Mapping[str, str]:
    """The signals in a ledger, the same way."""
    with store.reading() as connection:
        return {row.event_id: row.body_digest for row in connection.execute(select(signals))}


def joined_count(store: Store) -> int:
    with store.reading() as connection:
        return connection.execute(select(func.count()).select_from(joined)).scalar_one()


def acknowledged(store: Store) -> int:
    """Up to which number the ledger knows the group to have read."""
    with store.reading() as connection:
        query = select(readers.c.number).where(readers.c.reader == reader())
        return connection.execute(query).scalar() or 0


def shares(admin: KafkaAdminClient, of: KafkaSettings) -> list[int]:
    """How many partitions each member of the workers' group has, smallest first."""
    name = f"{of.prefix}.{reader()}"
    (group,) = admin.describe_groups([name]).values()
    out = []
    for member in group["members"]:
        given = member["member_assignment"]
        out.append(sum(len(topic["partitions"]) for topic in given["assigned_partitions"]) if given else 0)
    return sorted(out)
