from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors as ke
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager, TransactionState
from kafka.record import util
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition
from rejoinder.core.errors import BadSettings, Fenced, LogReplaced, LogUnavailable, RejoinderError
from rejoinder.stream.kafka.library import check_brokers, check_checksums, finish_transaction, send_offsets, translated
from rejoinder.stream.port import Rebalanced

GROUP = ConsumerGroupMetadata("g", 1, "m-1", "m")


def test_the_c_checksum_is_there_and_its_absence_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    check_checksums()
    monkeypatch.setattr(util, "crc32c_c", None)
    with pytest.raises(BadSettings, match="pip install crc32c"):
        check_checksums()


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (ke.ProducerFencedError(), Fenced),
        (ke.FencedInstanceIdError(), Fenced),
        (ke.InvalidProducerEpochError(), Fenced),
        (ke.CommitFailedError(), Rebalanced),
        (ke.IllegalGenerationError(), Rebalanced),
        (ke.MessageSizeTooLargeError(), LogUnavailable),
        (ke.KafkaTimeoutError(), LogUnavailable),
        (ke.NotEnoughReplicasError(), LogUnavailable),
        (ke.TopicAuthorizationFailedError(), LogUnavailable),
        (ConnectionResetError(), LogUnavailable),
    ],
)
def test_what_the_library_raises_is_told_as_ours(error: Exception, ours: type[RejoinderError]) -> None:
    assert type(translated(error, "appending")) is ours


def test_no_text_of_the_library_is_passed_on() -> None:
    told = translated(ke.KafkaError("Request 'value=my secret'"), "appending")
    assert "secret" not in f"{told} {told.metadata}"


def test_a_log_cut_behind_its_reader_is_another_log() -> None:
    error = ke.LogTruncationError.__new__(ke.LogTruncationError)
    assert isinstance(translated(error, "polling"), LogReplaced)


@pytest.mark.parametrize(("version", "taken"), [((2, 6), False), ((2, 7), True), ((4, 3), True)])
def test_brokers_that_do_not_tell_a_fenced_producer_so_are_refused(version: tuple[int, int], taken: bool) -> None:
    admin: Any = SimpleNamespace(_manager=SimpleNamespace(broker_version=version))
    if taken:
        check_brokers(admin)
        return
    with pytest.raises(BadSettings, match=r"are Kafka 2\.6, the log needs 2\.7"):
        check_brokers(admin)


class Steps:
    """The library's transaction manager with a transaction begun, and brokers that answer as told."""

    def __init__(self) -> None:
        self._transaction_manager = TransactionManager("slot-0", 10_000, api_version=(4, 0))
        self._transaction_manager.set_producer_id_and_epoch(ProducerIdAndEpoch(1, 0))
        self._transaction_manager._current_state = TransactionState.READY
        self._sender = SimpleNamespace(wakeup=lambda: None)

    def positions(self, offsets: dict[int, int], error_code: int) -> dict[int, int]:
        """Sends positions, and answers with an error for each; what was asked for on the wire."""
        wanted = {TopicPartition("t", p): OffsetAndMetadata(at, "", -1) for p, at in offsets.items()}
        with pytest.raises(ke.KafkaTimeoutError):
            send_offsets(self, wanted, GROUP, 0.001)  # type: ignore[arg-type]
        self._next().handle_response(SimpleNamespace(error_code=0))
        handler = self._next()
        topic = handler.request.topics[0]
        asked = {p.partition_index: p.committed_offset for p in topic.partitions}
        handler.handle_response(SimpleNamespace(topics=[("t", [(p, error_code) for p in asked])]))
        return asked

    def undo(self) -> None:
        with pytest.raises(ke.KafkaTimeoutError):
            finish_transaction(self, False, 0.001)  # type: ignore[arg-type]
        self._next().handle_response(SimpleNamespace(error_code=0))

    def _next(self) -> Any:
        handler = self._transaction_manager.next_request_handler(False)
        assert handler is not None
        return handler


def test_positions_of_an_undone_step_do_not_go_along_with_the_next_ones() -> None:
    steps = Steps()
    steps._transaction_manager.begin_transaction()
    assert steps.positions({0: 10, 1: 20}, ke.IllegalGenerationError.errno) == {0: 10, 1: 20}
    steps.undo()
    steps._transaction_manager.begin_transaction()
    assert steps.positions({0: 5}, 0) == {0: 5}
