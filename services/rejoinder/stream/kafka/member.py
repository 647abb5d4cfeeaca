"""A member of a group: static, cooperative, reading committed records only.

The library fetches; what it has fetched waits here, partition by partition, and is handed out in turns, so that a long
partition keeps no other waiting. Partitions of which something still waits are paused meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from kafka import KafkaConsumer
from kafka import errors as ke
from kafka.coordinator.base import MemberState
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata, TopicPartition

from rejoinder.core.errors import Fenced, LogReplaced, LogUnavailable
from rejoinder.stream.kafka.library import (
    RETRY_AFTER_S,
    Moves,
    ask_to_rejoin,
    committed,
    fenced_in_silence,
    free_parked,
    learn_topics,
    topic_ids,
    translating,
    without_position,
)
from rejoinder.stream.kafka.reader import record_of
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import Partition, Rebalanced, Record

#: Longest single wait for the library: how late a rebalance is noticed.
_TURN_S = 0.2
#: Most records taken from the library at once.
_FETCH = 500


class KafkaMember:
    """A `port.Consumer`. owns: its consumer, what was fetched but not handed out, and its claim; one thread's.

    names: topic → its name on the brokers. leave: tells the group that the static member of a member id is gone for
    good. The consumer is closed when its topics cannot be learnt.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        topics: Sequence[str],
        names: Mapping[str, str],
        settings: KafkaSettings,
        leave: Callable[[str], None],
    ) -> None:
        self._consumer = consumer
        self._ours = {names[topic]: topic for topic in topics}
        self._names = names
        self._wait_s = settings.request_s
        self._leave = leave
        self._moves = Moves(consumer)
        self._held: dict[TopicPartition, deque[Any]] = {}
        #: Whose turn is next.
        self._turn = 0
        #: The membership under which everything that is held was read; what a commit is fenced by.
        self._claim: ConsumerGroupMetadata | None = None
        self._ids: dict[str, str] = {}
        self._counted: dict[str, int] = {}
        self._closed = False
        #: How long the brokers may keep a position to themselves: a writer's open transaction holds it for so long.
        self._silence_s = settings.transaction_s + settings.request_s
        #: Since when they have.
        self._silent_since: float | None = None
        try:
            consumer.subscribe(list(self._ours), listener=self._moves)
            with translating("learning the topics"):
                learn_topics(consumer, self._wait_s)
        except BaseException:
            consumer.close(autocommit=False, timeout_ms=1000)
            raise

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            # What waits is not handed out while the group is being formed: there is time to wait for that.
            waiting = self._stable() and any(self._held.values())
            left = deadline - time.monotonic()
            self._fetch(0.0 if waiting else max(0.0, min(left, _TURN_S)))
            records = self._hand_out(max_records)
            if records or time.monotonic() >= deadline:
                return records

    def assignment(self) -> frozenset[Partition]:
        return frozenset(self._port(where) for where in self._mine())

    def positions(self) -> Mapping[Partition, int]:
        return {self._port(where): at for where, at in self._at().items()}

    def commit(self) -> None:
        metadata, offsets = self.claim()
        if metadata != self._consumer.group_metadata():
            raise Rebalanced("the member lost its partitions")
        with translating("committing positions"):
            self._consumer.commit(offsets, timeout_ms=self._ms())

    def seek(self, partition: Partition, offset: int) -> None:
        where = self._where(partition)
        if where not in self._mine():
            self._wait_for(where)
        if where not in self._mine():
            raise KeyError(f"{partition} is not assigned to this member")
        self._consumer.seek(where, offset)
        self._let_go([where])

    def rewind(self) -> None:
        mine = sorted(self._mine())
        # All are asked for before anything moves: half a way back would leave positions past what was not handled.
        with translating("going back to the committed positions"):
            known = committed(self._consumer, mine, self._wait_s)
        self._let_go(list(self._held))
        for where in mine:
            if where in known:
                self._consumer.seek(where, known[where])
            else:
                self._begin([where])

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        fenced = fenced_in_silence(self._consumer)
        member_id = self._consumer.group_metadata().member_id
        self._consumer.close(autocommit=False, timeout_ms=1000)
        # Whoever took the name over must not be thrown out by it, whether we have heard of it or not.
        if member_id and not fenced:
            self._leave(member_id)

    def claim(self) -> tuple[ConsumerGroupMetadata, dict[TopicPartition, OffsetAndMetadata]]:
        """The positions, and the membership under which they were read; brokers refuse them under a later one.

        Raises Rebalanced when nothing was read under any: such positions would be committed whoever has the partitions.
        """
        if self._claim is None:
            raise Rebalanced("the member has not joined its group yet")
        offsets = {where: OffsetAndMetadata(at, "", -1) for where, at in self._at().items()}
        return self._claim, offsets

    def _fetch(self, timeout_s: float) -> None:
        """One turn of the library: membership, then records. What moved meanwhile is forgotten."""
        if self._closed:
            raise LogUnavailable("the consumer is closed")
        if fenced_in_silence(self._consumer):
            raise Fenced("another consumer joined under this member's name")
        free_parked(self._consumer)
        with translating("polling"):
            try:
                found = self._consumer.poll(int(timeout_s * 1000), _FETCH)
            except ke.NoOffsetForPartitionError as error:
                self._begin(error.args[0])
                found = {}
            except ke.OffsetOutOfRangeError as error:
                self._settle_range(error.args[0])
                found = {}
        self._let_go(self._moves.taken())
        for where, raw in found.items():
            self._held.setdefault(where, deque()).extend(raw)
            self._consumer.pause(where)
        metadata = self._consumer.group_metadata()
        if metadata.state is MemberState.STABLE:
            self._claim = metadata
            self._check_topics()
        self._check_positions(metadata.state is MemberState.STABLE)

    def _begin(self, partitions: Iterable[TopicPartition]) -> None:
        """Nothing is committed yet: the group begins at the first record."""
        self._consumer.seek_to_beginning(*partitions)

    def _hand_out(self, max_records: int) -> list[Record]:
        """Records that are held, the partitions taking turns; none while the group is being formed anew, because the
        step that they would lead to would be refused."""
        if not self._stable():
            return []
        order = sorted(where for where, held in self._held.items() if held)
        self._turn += 1
        start = self._turn % len(order) if order else 0
        order = order[start:] + order[:start]
        out: list[Record] = []
        while order and len(out) < max_records:
            share = max(1, (max_records - len(out)) // len(order))
            for where in list(order):
                held = self._held[where]
                for _ in range(min(share, len(held), max_records - len(out))):
                    out.append(record_of(self._ours[where.topic], held.popleft()))
                if not held:
                    order.remove(where)
                    self._let_go([where])
        return out

    def _settle_range(self, positions: Mapping[TopicPartition, int]) -> None:
        """Retention moved the start past a position: on at the first record left. A position past the end is of another
        log. Raises LogReplaced."""
        starts = self._consumer.beginning_offsets(list(positions), self._ms())
        for where, at in positions.items():
            if at > starts[where]:
                raise LogReplaced(
                    "the position lies past the end of the log", topic=self._ours[where.topic], position=at
                )
            self._consumer.seek(where, starts[where])

    def _check_topics(self) -> None:
        """Raises LogReplaced when a topic was made anew under a running reader; has added partitions taken up."""
        for name, identity in topic_ids(self._consumer, tuple(self._ours)).items():
            if self._ids.setdefault(name, identity) != identity:
                raise LogReplaced("the topic was made anew", topic=self._ours[name])
        counted = {name: len(self._consumer._cluster.partitions_for_topic(name) or ()) for name in self._ours}
        if self._counted and counted != self._counted:
            ask_to_rejoin(self._consumer)
        self._counted = counted

    def _check_positions(self, stable: bool) -> None:
        """Raises LogUnavailable when brokers have kept a member's positions to themselves for longer than any
        transaction lasts: 3.0.12 asks again for ever and reads nothing meanwhile."""
        if not (stable and without_position(self._consumer)):
            self._silent_since = None
            return
        now = time.monotonic()
        self._silent_since = self._silent_since or now
        if now - self._silent_since > self._silence_s:
            raise LogUnavailable("the brokers do not tell the group's positions", retry_after_s=RETRY_AFTER_S)

    def _wait_for(self, where: TopicPartition) -> None:
        """Until a partition of our topics is assigned, which takes a moment after joining."""
        deadline = time.monotonic() + self._wait_s
        while where.topic in self._ours and where not in self._mine() and time.monotonic() < deadline:
            self._fetch(_TURN_S)

    def _at(self) -> dict[TopicPartition, int]:
        """The next offset to hand out; a partition whose position is not known yet is left out."""
        out = {}
        for where in self._mine():
            held = self._held.get(where)
            at = held[0].offset if held else self._position(where)
            if at is not None:
                out[where] = at
        return out

    def _position(self, where: TopicPartition) -> int | None:
        try:
            return self._consumer.position(where, timeout_ms=0)
        except (ke.KafkaError, AssertionError):
            return None

    def _let_go(self, partitions: Any) -> None:
        """Forgets what is held of some partitions and has them fetched again."""
        mine = self._consumer.assignment()
        for where in list(partitions):
            self._held.pop(where, None)
            if where in mine:
                self._consumer.resume(where)

    def _stable(self) -> bool:
        return self._consumer.group_metadata().state is MemberState.STABLE

    def _mine(self) -> set[TopicPartition]:
        return set(self._consumer.assignment())

    def _where(self, partition: Partition) -> TopicPartition:
        return TopicPartition(self._names[partition[0]], partition[1])

    def _port(self, where: TopicPartition) -> Partition:
        return self._ours[where.topic], where.partition

    def _ms(self) -> int:
        return int(self._wait_s * 1000)
