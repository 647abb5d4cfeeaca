"""The consumer that the logs of one process share: positions over an assignment, and the wait for more."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from rejoinder.core.errors import LogReplaced
from rejoinder.stream.groups import Commit, Coordinator
from rejoinder.stream.port import Partition, Record

#: Longest wait without a look at the assignment, seconds.
_BEAT_S = 0.5


class Waker:
    """Wakes readers when something was committed. owns: a counter of commits.

    Waits are in the machine's own time, whatever clock decides about leases.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def count(self) -> int:
        return self._count

    def wake(self) -> None:
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout_s: float) -> None:
        """Until the count differs from `seen`, or the time has passed."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout_s)


class Readable(Protocol):
    """What a cursor needs of a log."""

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]: ...

    def end_offsets(self, topic: str) -> Mapping[int, int]: ...


class Cursor:
    """Positions over some partitions. owns: the positions and whose turn is next."""

    def __init__(self, log: Readable) -> None:
        self._log = log
        self.positions: dict[Partition, int] = {}
        self._turn = 0

    def fetch(self, max_records: int) -> list[Record]:
        """The next records, every partition getting its turn. Raises LogReplaced when a position lies past the end."""
        order = sorted(self.positions)
        ends = {topic: self._log.end_offsets(topic) for topic in {topic for topic, _ in order}}
        self._turn += 1
        start = self._turn % len(order) if order else 0
        out: list[Record] = []
        for topic, partition in order[start:] + order[:start]:
            at, end = self.positions[topic, partition], ends[topic].get(partition, 0)
            if at > end:
                raise LogReplaced(
                    "the position lies past the end of the log", topic=topic, partition=partition, position=at, end=end
                )
            if at == end or len(out) >= max_records:
                continue
            records = self._log.read(topic, partition, at, max_records - len(out))
            out.extend(records)
            self.positions[topic, partition] = records[-1].offset + 1 if records else end
        return out


class GroupLog(Readable, Protocol):
    """What a member needs of the log it reads."""

    coordinator: Coordinator
    waker: Waker

    def committed(self, group: str, partitions: Sequence[Partition]) -> Mapping[Partition, int]:
        """Where the group stands: its committed positions, else the first kept record. Seen after every commit that
        was let through before the call."""

    def commit(self, commit: Commit) -> None: ...


class Member:
    """A `port.Consumer` that is a static member of a group. owns: its positions; belongs to one thread."""

    def __init__(self, log: GroupLog, group: str, topics: Sequence[str], member: str) -> None:
        self._log = log
        self._group = group
        self._topics = tuple(topics)
        self._member = member
        self._incarnation = log.coordinator.join(group, member, self._topics)
        self._generations: Mapping[Partition, int] = {}
        self._cursor = Cursor(log)
        self._closed = False
        log.waker.wake()

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            seen = self._log.waker.count()
            self._take_up()
            records = self._cursor.fetch(max_records)
            left = deadline - time.monotonic()
            if records or left <= 0:
                return records
            self._log.waker.wait(seen, min(left, _BEAT_S))

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._generations)

    def positions(self) -> Mapping[Partition, int]:
        return dict(self._cursor.positions)

    def commit(self) -> None:
        self._log.commit(self.claim())

    def seek(self, partition: Partition, offset: int) -> None:
        if partition not in self._generations:
            self._take_up()
        if partition not in self._generations:
            raise KeyError(f"{partition} is not assigned to this member")
        self._cursor.positions[partition] = offset

    def rewind(self) -> None:
        self._cursor.positions.clear()
        self._generations = {}
        self._take_up()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._log.coordinator.leave(self._group, self._member, self._incarnation)
            self._log.waker.wake()

    def claim(self) -> Commit:
        """The positions with all that shows they are still this member's to commit."""
        return Commit(self._group, self.positions(), self._member, self._incarnation, dict(self._generations))

    def _take_up(self) -> None:
        held = self._log.coordinator.beat(self._group, self._member, self._incarnation, self._topics)
        if held == self._generations:
            return
        new = [p for p, generation in held.items() if self._generations.get(p) != generation]
        kept = {p: at for p, at in self._cursor.positions.items() if p in held and p not in new}
        started = self._log.committed(self._group, new)
        self._generations = held
        self._cursor.positions = {**kept, **started}
