"""The arms topic's writer on Apache Kafka: `tables.Owner` without an owner in between.

A Kafka epoch is no term: brokers start it anew with another producer id. So the term is one more than the highest that
lies on the topic once the id is taken, when nobody before can add to it any more. Two engines that take it in turn may
answer the same term while neither has written under it; so whoever takes the id again looks for tables that are not its
own, under its own term too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rejoinder.core.arms import ArmsTable
from rejoinder.core.codec import decode
from rejoinder.core.errors import Fenced, LogUnavailable, RejoinderError
from rejoinder.stream.port import Log, NewRecord, Partition, Record, Transaction
from rejoinder.stream.unread import unread

TOPIC = "arms"


class KafkaOwner:
    """owns: the transactional id it holds, and what it knows to lie on the topic; the log is given."""

    def __init__(self, log: Log, policy: str) -> None:
        self._log = log
        self._policy = policy
        self._transaction: Transaction | None = None
        #: Per partition, up to where every table was there before us or is our own.
        self._known: dict[int, int] = {}
        #: Tables of ours that may lie behind that or not: their step was not answered.
        self._doubtful: tuple[bytes, ...] = ()

    def begin_epoch(self, transactional_id: str) -> int:
        """Takes the id, and answers a term above every one on the topic."""
        self._hold(transactional_id)
        self._known, self._doubtful = {}, ()
        return max((_term(record.value) for record in self._tables()), default=0) + 1

    def commit_step(
        self,
        transactional_id: str,
        epoch: int,
        records: Sequence[NewRecord],
        group: str,
        offsets: Mapping[Partition, int],
    ) -> object:
        """Durable on return. Raises Fenced once another engine has written, or holds the id.

        After a step that was not answered the id is taken again, unless a table on the topic that is not ours says that
        a successor was there meanwhile: then it is left to it.
        """
        transaction = self._transaction
        if transaction is None:
            self._check(epoch)
            transaction = self._hold(transactional_id)
            try:
                self._check(epoch)
            except RejoinderError:
                self.close()
                raise
        try:
            taken = transaction.step(records)
        except LogUnavailable:
            self._doubtful = tuple(record.value for record in records)
            self.close()
            raise
        for at in taken:
            self._known[at.partition] = max(self._known.get(at.partition, 0), at.offset + 1)
        return taken

    def close(self) -> None:
        if self._transaction is not None:
            self._transaction.close()
        self._transaction = None

    def _hold(self, transactional_id: str) -> Transaction:
        self.close()
        self._transaction = taken = self._log.transaction(transactional_id)
        return taken

    def _check(self, epoch: int) -> None:
        """Raises Fenced for a table behind what is known that we did not send, whatever its term is."""
        for record in self._tables():
            if record.value not in self._doubtful:
                raise Fenced("another engine has written", term=epoch, found=_term(record.value))

    def _tables(self) -> Iterator[Record]:
        """The policy's records behind what is known, which is moved past them."""
        for records in unread(self._log, TOPIC, self._known):
            yield from (record for record in records if record.key == self._policy.encode())


def _term(value: bytes) -> int:
    try:
        return decode(value, ArmsTable).term
    except (RejoinderError, ValueError):
        return 0
