"""A worker that makes a signal of every follow-up: `worker.py SETTINGS SLOT MODE`, on `stream.consumer.Worker`.

right: as the product's workers. inside: the same, but it halts inside its first transaction, says `inside` and goes on
when it is told. Wrong on purpose: early commits its positions before the work and halts between (`committed`); plain
appends without a transaction and halts before its positions (`appended`). Its last line is `stopped`, or the reason of
the error that ended it.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence

from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import RejoinderError
from rejoinder.core.ids import derived_id
from rejoinder.core.types import Feedback, FollowUp, Polarity, Signal
from rejoinder.stream.consumer import StopFlag, Worker, WorkerSettings
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.kafka import transaction as steps
from rejoinder.stream.kafka.log import KafkaLog
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Consumer, NewRecord, Record, Transaction
from rejoinder.stream.topics import OwnTopics, of_kinds

GROUP = "chaos-signals"
SOURCE = "tests/chaos"


class SignalStep:
    """owns: nothing; what it makes depends on the records alone."""

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        return [record_of(_signal(event_of(record)), SOURCE) for record in records]

    def close(self) -> None: ...


def _signal(said: Feedback) -> Signal:
    pleased = isinstance(said.kind, FollowUp) and said.kind.text.startswith("thanks")
    return Signal(
        tenant=said.tenant,
        event_id=derived_id(said.event_id, said.attempt_id, "chaos", "1"),
        source_event_id=said.event_id,
        interaction_id=said.interaction_id,
        user_id=said.user_id,
        polarity=Polarity.SAT if pleased else Polarity.DSAT,
        confidence=0.9,
        strength=0.5,
        extractor="chaos",
        extractor_version="1",
        occurred_at=said.occurred_at,
        accepted_at=said.accepted_at,
    )


class EarlyWorker(Worker):
    """Commits before the work: what it read and had not done when it died is done by nobody."""

    def _turn(self, transaction: Transaction, consumer: Consumer) -> bool:
        records = consumer.poll(self._settings.poll_s, self._max_records)
        if records:
            consumer.commit()
            halt("committed")
            transaction.step(self._process(records)[0])
        return bool(records)


class PlainWorker(Worker):
    """Its records and its positions are two things: what it wrote and had not committed is written again."""

    def _turn(self, transaction: Transaction, consumer: Consumer) -> bool:
        records = consumer.poll(self._settings.poll_s, self._max_records)
        if records:
            self._log.append(self._process(records)[0]).result()
            halt("appended")
            consumer.commit()
        return bool(records)


WORKERS = {"right": Worker, "inside": Worker, "early": EarlyWorker, "plain": PlainWorker}
_halted = False


def halt(where: str) -> None:
    """Once: says where it stands and waits to be told."""
    global _halted
    if not _halted:
        _halted = True
        print(where, flush=True)
        sys.stdin.readline()


def halt_inside() -> None:
    """Records written, positions sent, no commit yet: there the first step halts."""
    finish = steps.finish_transaction

    def halting(producer: object, commit: bool, within_s: float) -> None:
        if commit:
            producer.flush()  # type: ignore[attr-defined]
            halt("inside")
        finish(producer, commit, within_s)  # type: ignore[arg-type]

    steps.finish_transaction = halting  # type: ignore[assignment]


def main(fields: str, slot: str, mode: str) -> str:
    flag, clock = StopFlag(), SystemClock()
    signal.signal(signal.SIGTERM, lambda *_: flag.ask())
    if mode == "inside":
        halt_inside()
    log = KafkaLog(KafkaSettings(**eval(fields, {"OwnTopics": OwnTopics})))
    settings = WorkerSettings(GROUP, of_kinds(log.topics, ("feedback",)), slot, f"chaos/{slot}", poll_s=0.1)
    letters = DeadLetters(b"0123456789abcdef", clock, SOURCE)
    try:
        WORKERS[mode](log, SignalStep(), letters, settings, clock, flag, time.sleep).run()
    except RejoinderError as error:
        return error.reason
    finally:
        log.close()
    return "stopped"


if __name__ == "__main__":
    print(main(*sys.argv[1:]), flush=True)
