"""The worker loop: poll → step → records and positions in one transaction, until somebody asks it to stop.

Nothing is ever dropped: a record that cannot be used becomes a dead letter in the same transaction that moves past it,
and when that transaction cannot be written the worker stops where it stands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from rejoinder.core.clock import Clock
from rejoinder.core.errors import PASSING, FailedPrecondition, RejoinderError
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.port import Consumer, Log, NewRecord, Rebalanced, Record, Transaction
from rejoinder.stream.topics import of_kinds

logger = logging.getLogger(__name__)


class Step(Protocol):
    """What a worker does with records. It may be given the same record again, so its output depends on it alone."""

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]: ...

    def close(self) -> None:
        """Waits for what is under way and lets go."""


@dataclass(frozen=True)
class WorkerSettings:
    """Times in seconds. transactional_id: one per stable slot (StatefulSet ordinal or static member). topics: kinds, of
    which those of single tenants are read too."""

    group: str
    topics: tuple[str, ...]
    member: str
    transactional_id: str
    #: Longest wait for records: bounds how late a stop is noticed.
    poll_s: float = 0.5
    #: Most records of a step.
    max_records: int = 500
    #: A step that takes longer has its successors halved. Below the session (10 s) and Kafka's transaction timeout
    #: (8.5 s), so that a killed worker's partitions, not a slow one's, move on.
    step_limit_s: float = 8.0
    #: Failures since the last finished step that are waited out, and the waits: doubled from the first up to the
    #: longest. A poll that found nothing ends no row of failures: a log that cannot be read may look empty.
    attempts: int = 10
    backoff_s: float = 0.1
    backoff_max_s: float = 5.0
    #: Dead letters in a row after which the step itself is held to be broken and the worker stops: a bug must not
    #: carry a whole topic into the dead letters.
    poison_limit: int = 100


@dataclass
class Counts:
    """Since the worker started. read: records of finished steps. retried: steps begun anew. slow: over the limit."""

    read: int = 0
    produced: int = 0
    dead_lettered: int = 0
    retried: int = 0
    slow: int = 0


class StopFlag:
    """Set by a signal handler, which does no more than that. owns: one flag."""

    def __init__(self) -> None:
        self.asked = False

    def ask(self) -> None:
        self.asked = True


class Worker:
    """owns: its consumer and its transaction while it runs; one thread.

    wait: sleeps so many seconds (given, so that tests own time).
    """

    def __init__(
        self,
        log: Log,
        step: Step,
        dead_letters: DeadLetters,
        settings: WorkerSettings,
        clock: Clock,
        stop: StopFlag,
        wait: Callable[[float], None],
    ) -> None:
        self._log = log
        self._topics = of_kinds(log.topics, settings.topics)
        self._step = step
        self._dead_letters = dead_letters
        self._settings = settings
        self._clock = clock
        self._stop = stop
        self._wait = wait
        self._max_records = settings.max_records
        self._poison = 0
        self.counts = Counts()

    def run(self) -> None:
        """Until stopped: the step in hand is finished and committed, then step and consumer close.

        Raises Fenced when another worker took its slot, the last error when failures do not pass,
        FailedPrecondition once more than `poison_limit` records in a row could not be used.
        """
        transaction: Transaction | None = None
        consumer: Consumer | None = None
        failures = 0
        try:
            while not self._stop.asked:
                try:
                    # The id comes first: an unanswered step of its last holder is settled before positions are read.
                    transaction = transaction or self._log.transaction(self._settings.transactional_id)
                    consumer = consumer or self._log.subscribe(
                        self._settings.group, self._topics, self._settings.member
                    )
                    if self._turn(transaction, consumer):
                        failures = 0
                except Rebalanced:
                    self.counts.retried += 1
                    logger.info("partitions moved group=%s member=%s", self._settings.group, self._settings.member)
                    consumer, failures = self._back(consumer), failures + 1
                    if failures > self._settings.attempts:
                        raise
                except PASSING as error:
                    self.counts.retried += 1
                    failures += 1
                    logger.warning("step failed reason=%s attempt=%d", error.reason, failures)
                    if failures > self._settings.attempts:
                        raise
                    self._wait(min(self._settings.backoff_max_s, self._settings.backoff_s * 2 ** (failures - 1)))
                    _closed(transaction)
                    transaction, consumer = None, self._back(consumer)
        finally:
            self._step.close()
            _closed(consumer)
            _closed(transaction)

    def _turn(self, transaction: Transaction, consumer: Consumer) -> bool:
        """Whether a step was finished."""
        records = consumer.poll(self._settings.poll_s, self._max_records)
        if not records:
            return False
        began, poison = self._clock.monotonic(), self._poison
        try:
            produced, dead = self._process(records)
            transaction.step([*produced, *dead], consumer)
        except RejoinderError:
            # Refused, it may be, since it took so long that its partitions moved: with as many again it would for ever.
            self._slow_down(self._clock.monotonic() - began)
            # Begun anew it meets the same records: they are no more in a row than before.
            self._poison = poison
            raise
        self._pace(self._clock.monotonic() - began)
        self.counts.read += len(records)
        self.counts.produced += len(produced)
        self.counts.dead_lettered += len(dead)
        return True

    def _process(self, records: Sequence[Record]) -> tuple[list[NewRecord], list[NewRecord]]:
        """What the step makes of records, and the dead letters of those it cannot use, found one by one."""
        try:
            produced = list(self._step(records))
        except PASSING:
            raise
        except Exception as error:
            if len(records) == 1:
                return [], [self._dead(records[0], error)]
        else:
            self._poison = 0
            return produced, []
        produced, dead = [], []
        for record in records:
            more, bad = self._process([record])
            produced += more
            dead += bad
        return produced, dead

    def _dead(self, record: Record, error: Exception) -> NewRecord:
        reason = error.reason if isinstance(error, RejoinderError) else "INTERNAL"
        self._poison += 1
        # The error's text stays out of the log: it may quote a user.
        logger.error(
            "record dead-lettered topic=%s partition=%d offset=%d reason=%s error=%s",
            *(record.topic, record.partition, record.offset, reason, type(error).__name__),
        )
        if self._poison > self._settings.poison_limit:
            raise FailedPrecondition(
                "the step could not use so many records in a row that it must be broken itself",
                records=self._poison,
                last_reason=reason,
            ) from None
        return self._dead_letters.record(record, reason)

    def _pace(self, took_s: float) -> None:
        self._slow_down(took_s)
        if took_s < self._settings.step_limit_s / 4:
            self._max_records = min(self._settings.max_records, self._max_records * 2)

    def _slow_down(self, took_s: float) -> None:
        if took_s > self._settings.step_limit_s:
            self.counts.slow += 1
            self._max_records = max(1, self._max_records // 2)

    def _back(self, consumer: Consumer | None) -> Consumer | None:
        """The consumer at the committed positions, or None (it is made anew) when the log cannot even say those."""
        try:
            if consumer is not None:
                consumer.rewind()
        except PASSING:
            _closed(consumer)
            return None
        return consumer


def _closed(held: Consumer | Transaction | None) -> None:
    if held is not None:
        held.close()
