"""The transactional step of the logs that one process owns: an id, its epoch, and where it is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from rejoinder.core.errors import BadEncoding, Fenced, UnknownRow
from rejoinder.core.types import Coordinate
from rejoinder.stream.groups import Commit
from rejoinder.stream.port import Consumer, NewRecord
from rejoinder.stream.topics import TOPICS, Routes, Topic, kind_of, owner_of

T = TypeVar("T")


class StepTaker(Protocol):
    def step(
        self, transactional_id: str, epoch: int, records: Sequence[NewRecord], commit: Commit | None
    ) -> Sequence[Coordinate]: ...


class EpochTransaction:
    """A `port.Transaction`: one transactional id at one epoch. owns: nothing but that epoch."""

    def __init__(self, log: StepTaker, transactional_id: str, epoch: int) -> None:
        self._log = log
        self._id = transactional_id
        self._epoch = epoch

    def step(self, records: Sequence[NewRecord], consumer: Consumer | None = None) -> Sequence[Coordinate]:
        return self._log.step(self._id, self._epoch, records, None if consumer is None else claim_of(consumer))

    def close(self) -> None:
        """Nothing is held open between steps."""


def claim_of(consumer: Consumer) -> Commit:
    """What a consumer of this log would commit. TypeError for a consumer of another log."""
    claim = getattr(consumer, "claim", None)
    if claim is None:
        raise TypeError("the consumer belongs to another kind of log")
    return claim()


def check_epoch(transactional_id: str, epoch: int, held: int) -> None:
    """Raises Fenced when a later holder took the id. The id "" is nobody's: it fences and is fenced by none."""
    if transactional_id and epoch != held:
        raise Fenced("a later holder took the transactional id", transactional_id=transactional_id, epoch=epoch)


def known_topic(topics: Mapping[str, T], name: str) -> T:
    if name not in topics:
        raise UnknownRow("topic", name, tuple(topics))
    return topics[name]


def checked(topics: Mapping[str, Topic], records: Sequence[NewRecord], routes: Routes) -> tuple[NewRecord, ...]:
    """The records, once nothing about their form can fail later, among other callers' records; each on the topic that
    it belongs to.

    Raises UnknownRow, BadEncoding for text that is no UTF-8, TypeError for keys and values that are no bytes.
    """
    if routes or any(record.topic not in TOPICS for record in records):
        records = [_routed(record, routes) for record in records]
    for record in records:
        known_topic(topics, record.topic)
        parts = [record.key, record.value, *[value for _, value in record.headers]]
        if any([type(part) is not bytes for part in parts]):
            other = next(type(part).__name__ for part in parts if type(part) is not bytes)
            raise TypeError(f"keys, values and header values are bytes, not {other}")
        identity = record.identity
        if identity is not None:
            try:
                "".join((identity.tenant, identity.event_id, identity.body_digest)).encode()
            except UnicodeEncodeError:
                raise BadEncoding("an event's identity is no UTF-8", topic=record.topic) from None
    return tuple(records)


def _routed(record: NewRecord, routes: Routes) -> NewRecord:
    """On its tenant's own topic, or on the shared one where it has none, or no more."""
    kind = kind_of(record.topic)
    topic = routes.get((kind, record.tenant or owner_of(record.topic)), kind)
    return record if topic == record.topic else replace(record, topic=topic)
