"""The arms topic as its one writer sees it.

Taking it fences whoever wrote before, and what that answers becomes our term: on SQLite the transactional id's epoch, a
counter in the log; on Kafka one more than the highest term on the topic (kafkaowner.py). The topic is then read to its
end, and while a higher term lies there (a writer elsewhere counts its terms otherwise) nothing is written. A write
whose answer was lost is settled by reading: no epoch is taken anew for it, or an engine that was paused could take the
table back from its successor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from rejoinder.core.arms import ArmsTable
from rejoinder.core.codec import decode
from rejoinder.core.errors import Fenced, RejoinderError
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import NewRecord, Partition
from rejoinder.stream.unread import Topic, unread

TOPIC = "arms"


class Owner(Protocol):
    """Who writes the log for others: `clients.owner.LogOwnerClient`."""

    def begin_epoch(self, transactional_id: str) -> int: ...

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[NewRecord],
        group: str,
        offsets: Mapping[Partition, int],
    ) -> object: ...


class ArmsTopic:
    """owns: the epoch it holds, the positions it has read, the highest table it has seen.

    term: our epoch, 0 before it was taken.
    """

    def __init__(self, log: Topic, owner: Owner, policy: str) -> None:
        self._log = log
        self._owner = owner
        self._policy = policy
        self._id = f"arms/{policy}"
        self._positions: dict[int, int] = {}
        self._seen: ArmsTable | None = None
        self.term = 0
        self._fenced = False

    def take(self) -> None:
        """Becomes the writer, once; nothing to do later. Raises Unavailable while the owner is away."""
        if not self.term:
            self.term = self._owner.begin_epoch(self._id)

    def read(self) -> ArmsTable | None:
        """The table in force: the highest (term, generation), of equal ones the last; None before the first."""
        for records in unread(self._log, TOPIC, self._positions):
            for record in records:
                if record.key == self._policy.encode():
                    self._take_up(record.value)
        return self._seen

    def fenced_by(self, table: ArmsTable) -> bool:
        """Whether another engine writes: it has taken our id, or written this table under a higher term."""
        return self._fenced or table.term > self.term > 0

    def write(self, table: ArmsTable) -> None:
        """Durable on return. Raises Fenced once a later writer has the id; it stays so until this engine is started
        again."""
        try:
            self._owner.commit_step(self._id, self.term, [record_of(table, "rejoinder/rollouts")], "", {})
        except Fenced:
            self._fenced = True
            raise

    def _take_up(self, value: bytes) -> None:
        try:
            table = decode(value, ArmsTable)
        except (RejoinderError, ValueError):
            return  # what cannot be read was never in force, and must not hide what comes after it
        if self._seen is None or table.order >= self._seen.order:
            self._seen = table
