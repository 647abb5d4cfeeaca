"""The `Log` port: what a log promises, whichever stands behind it (memory, SQLite, Kafka).

A topic has partitions; a record's partition is chosen by its key and never changes; offsets rise by at least one
within a partition (a transactional log may leave gaps). `append` resolves when the records are durable: only then may
anything be acknowledged. A step (records and consumer offsets together) is atomic: readers see all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rejoinder.core.errors import Fenced
from rejoinder.core.types import Coordinate
from rejoinder.stream.topics import Topic

#: Topic and partition.
Partition = tuple[str, int]


class Rebalanced(Fenced):
    """A group member lost a partition that it wanted to commit: it rewinds and goes on with what it holds now."""


class Identity(NamedTuple):
    """What makes an event one event; the log looks out for second copies by it (a hint: the ledger decides)."""

    tenant: str
    event_id: str
    body_digest: str


@dataclass(frozen=True)
class Position:
    """The group's position of a partition. since: the moment that was noted beside it, seconds, 0 for none."""

    offset: int
    since: float = 0.0


@dataclass(frozen=True)
class NewRecord:
    """A record to append. key: the ordering key (tenant + conversation), hashed to a partition.

    topic: of a kind; the log takes the tenant's own one where it has one. tenant: whose, "" where nobody is named.
    """

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    identity: Identity | None = None
    tenant: str = ""


@dataclass(frozen=True)
class Record:
    """A record as it was read. timestamp: when the log took it, seconds since the epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    timestamp: float

    @property
    def coordinate(self) -> Coordinate:
        return Coordinate(self.topic, self.partition, self.offset)


class Appended(NamedTuple):
    """What became of one new record.

    outcome: "recorded" (coordinate is where it lies), "duplicate" or "conflict" (not appended; coordinate is the first
    copy's). A log that cannot see far back answers "recorded" for a second copy too.
    """

    outcome: str
    coordinate: Coordinate


class Consumer(Protocol):
    """A member of a group, reading committed records only. owns: its positions between commits."""

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """The next records of the assigned partitions, in offset order within each; [] when the time passes."""

    def assignment(self) -> frozenset[Partition]: ...

    def positions(self) -> Mapping[Partition, int]:
        """The next offset to read, per assigned partition."""

    def commit(self) -> None:
        """Makes the positions the group's; the next member starts there. Raises Rebalanced after a rebalance."""

    def seek(self, partition: Partition, offset: int) -> None: ...

    def rewind(self) -> None:
        """Back to the group's committed positions: what was polled since is delivered again."""

    def close(self) -> None:
        """Leaves the group; positions not committed are forgotten."""


class Transaction(Protocol):
    """One transactional id at one epoch. A later holder of the id fences this one: its next step raises Fenced."""

    def step(self, records: Sequence[NewRecord], consumer: Consumer | None = None) -> Sequence[Coordinate]:
        """Appends records and commits the consumer's positions, all or nothing, durable on return."""

    def close(self) -> None: ...


class Log(Protocol):
    """owns: the store, its writer and its files or connections."""

    @property
    def topics(self) -> Mapping[str, Topic]:
        """All topics, those of single tenants among them."""

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        """Appends records, each for itself or together; the future resolves when they are durable, in order.

        Fails with QueueFull at once when too much is waiting, with LogUnavailable or DiskFull when the store did not
        take them (then none was acknowledged; some may lie there all the same).
        """

    def topic_id(self, topic: str) -> str:
        """An id that changes when the topic is made anew."""

    def partitions(self, topic: str) -> int: ...

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        """Per partition, the offset of the first record that retention has left (the end, when it left none)."""

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Per partition, the offset after the last committed record."""

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        """Committed records from an offset on, without a group; [] only when none lies there or later.

        A long run is cut short by its bytes, never to nothing.
        """

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        """Joins a group as a static member: partitions are shared out among the live members."""

    def transaction(self, transactional_id: str) -> Transaction:
        """Takes a transactional id and fences whoever held it."""

    def close(self) -> None:
        """Waits for what was appended, then lets go. Idempotent."""
