"""stream/kafka/transaction: what is found before a broker hears of a step, and what the library calls done wrongly."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors as ke
from kafka.future import Future
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager, TransactionState
from rejoinder.core.errors import LogUnavailable, TooLong, UnknownRow
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.transaction import KafkaTransaction
from rejoinder.stream.port import NewRecord
from rejoinder.stream.topics import TOPICS


class Producer:
    """The library's transaction manager, and brokers that refuse a record's sequence number during the commit.

    owns: the records sent.
    """

    def __init__(self) -> None:
        self._transaction_manager = TransactionManager("slot-0", 10_000, api_version=(4, 0))
        self._transaction_manager.set_producer_id_and_epoch(ProducerIdAndEpoch(1, 0))
        self._transaction_manager._current_state = TransactionState.READY
        self.waited_s: list[float] = []
        self._sender = SimpleNamespace(wakeup=self._refuse, join=self.waited_s.append)
        self.config: dict[str, object] = {}
        self.sent: list[Future] = []

    def begin_transaction(self) -> None:
        self._transaction_manager.begin_transaction()

    def send(self, name: str, value: bytes, key: bytes, headers: Sequence[object]) -> Future:
        self.sent.append(Future())
        return self.sent[-1]

    def close(self, timeout: float) -> None: ...

    def _refuse(self) -> None:
        """As the sender does it: the record fails, the epoch is raised, and the commit ends without being sent."""
        manager = self._transaction_manager
        self.sent[0].failure(ke.OutOfOrderSequenceNumberError())
        manager.bump_producer_id_and_epoch()
        raised: Any = manager.next_request_handler(False)
        raised.handle_response(SimpleNamespace(error_code=0, producer_id=1, producer_epoch=1))
        with suppress(ke.KafkaError):
            assert manager.next_request_handler(False) is None, "a commit was sent"


def transaction(producer: Producer) -> KafkaTransaction:
    names = {topic: f"t.{topic}.v1" for topic in TOPICS}
    return KafkaTransaction(producer, TOPICS, names, KafkaSettings(max_record_bytes=1000))  # type: ignore[arg-type]


def test_a_commit_that_was_never_sent_is_no_success() -> None:
    step = transaction(Producer())
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="take the transactional id anew"):
            step.step([NewRecord("signals", b"k", b"v")])


def test_a_holder_that_was_given_up_is_closed_once_it_sends_nothing_more() -> None:
    """A request that waited for a broker would go out once that is there, under the id that somebody else took anew."""
    producer = Producer()
    step = transaction(producer)
    with pytest.raises(LogUnavailable):
        step.step([NewRecord("signals", b"k", b"v")])
    step.close()
    assert producer.waited_s == [KafkaSettings().request_s]


@pytest.mark.parametrize(
    ("record", "error"),
    [(NewRecord("nowhere", b"k", b"v"), UnknownRow), (NewRecord("signals", b"k", b"v" * 1000), TooLong)],
)
def test_what_no_broker_would_take_is_refused_before_the_transaction_begins(
    record: NewRecord, error: type[Exception]
) -> None:
    producer = Producer()
    with pytest.raises(error) as refused:
        transaction(producer).step([record])
    assert producer._transaction_manager._current_state is TransactionState.READY
    if isinstance(refused.value, TooLong):
        assert 1000 < int(refused.value.metadata["size"]) < 1200


class Unknown(Producer):
    """Its brokers let nobody know of the topic."""

    def send(self, name: str, value: bytes, key: bytes, headers: Sequence[object]) -> Future:
        return Future().failure(ke.TopicAuthorizationFailedError())

    def _refuse(self) -> None:
        assert self._transaction_manager.is_aborting(), "a commit was asked for"
        assert self._transaction_manager.next_request_handler(False) is None


def test_a_record_that_was_not_sent_undoes_the_step() -> None:
    step = transaction(Unknown())
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="do not allow it: taking a step"):
            step.step([NewRecord("signals", b"k", b"v")])
