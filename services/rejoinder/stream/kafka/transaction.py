"""Steps: records and a group's positions in one Kafka transaction, under one transactional id."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from kafka import KafkaProducer
from kafka import errors as ke

from rejoinder.core.errors import LogUnavailable, RejoinderError, TooLong
from rejoinder.core.types import Coordinate
from rejoinder.stream.kafka.library import (
    RETRY_AFTER_S,
    await_silence,
    close_producer,
    finish_transaction,
    last_error,
    send_offsets,
    send_within,
    size_of,
    translated,
)
from rejoinder.stream.kafka.member import KafkaMember
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Consumer, NewRecord
from rejoinder.stream.steps import checked
from rejoinder.stream.topics import Topic, routes_of


class KafkaTransaction:
    """A `port.Transaction`. owns: the producer that holds the id; one thread's.

    A step ends within `transaction_s`, after which the brokers undo it and fence this holder. One whose answer did not
    come ends this holder: whoever goes on takes the id anew, which ends what is still on its way, and looks at the
    committed positions.
    """

    def __init__(
        self,
        producer: KafkaProducer,
        topics: Mapping[str, Topic],
        names: Mapping[str, str],
        settings: KafkaSettings,
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._routes = routes_of(topics)
        self._names = names
        self._limit_s = settings.transaction_s
        self._request_s = settings.request_s
        self._largest = settings.max_record_bytes
        self._dead: RejoinderError | None = None

    def step(self, records: Sequence[NewRecord], consumer: Consumer | None = None) -> Sequence[Coordinate]:
        if self._dead is not None:
            raise self._dead
        if not records and consumer is None:
            return []
        if consumer is not None and not isinstance(consumer, KafkaMember):
            raise TypeError("the consumer belongs to another kind of log")
        # Whatever is wrong with what is given is found before the transaction begins.
        records = self._checked(records)
        claim = None if consumer is None else consumer.claim()
        deadline = time.monotonic() + self._limit_s
        sent = []
        try:
            self._producer.begin_transaction()
            for r in records:
                sent.append(
                    send_within(
                        self._producer, self._names[r.topic], r, min(self._request_s, deadline - time.monotonic())
                    )
                )
            refused = [future.exception for future in sent if future.failed()]
            if refused:
                raise refused[0]
            if claim is not None and claim[1]:
                send_offsets(self._producer, claim[1], claim[0], _left(deadline))
            finish_transaction(self._producer, True, _left(deadline))
        except ke.KafkaError as error:
            raise self._failed(error, deadline) from None
        if not all(future.succeeded() for future in sent):
            # 3.0.12 calls a commit done that it never sent, when the brokers refused a record's sequence number.
            self._dead = _unknown()
            raise self._dead
        taken = [future.value for future in sent]
        return [Coordinate(r.topic, at.partition, at.offset) for r, at in zip(records, taken, strict=True)]

    def close(self) -> None:
        """Returns when nothing more is sent under the id: what a dead holder has on its way could undo the next one's
        work. A request in hand takes up to `request_s`."""
        close_producer(self._producer, 0.0 if self._dead else 1.0)
        if self._dead:
            await_silence(self._producer, self._request_s)

    def _checked(self, records: Sequence[NewRecord]) -> Sequence[NewRecord]:
        """Raises UnknownRow, BadEncoding, TypeError, TooLong."""
        records = checked(self._topics, records, self._routes)
        for record in records:
            size = size_of(record.key, record.value, record.headers)
            if size > self._largest:
                raise TooLong("record", size, self._largest)
        return records

    def _failed(self, error: ke.KafkaError, deadline: float) -> RejoinderError:
        """What a failed step is to its caller. Undone where that can be known; else this holder is dead."""
        cause = last_error(self._producer) or error
        told = translated(cause, "taking a step")
        try:
            finish_transaction(self._producer, False, _left(deadline))
        except ke.KafkaError as second:
            # It may have been taken or not: nobody knows until the id is taken anew.
            known = told if not isinstance(told, LogUnavailable) else translated(second, "undoing a step")
            self._dead = known if not isinstance(known, LogUnavailable) else _unknown()
            return self._dead
        return told


def _unknown() -> LogUnavailable:
    return LogUnavailable("a step was not answered: take the transactional id anew", retry_after_s=RETRY_AFTER_S)


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())
