"""Reading topics that are somebody else's, in a group of our own: nothing of theirs is made, altered or written.

What it needs on their brokers: Read on the topics and Read on the group. Beside each position it notes the topic's id,
and a moment that the caller gives, so that a topic that was made anew between two runs is told from the one that was
read (LOG_REPLACED). Brokers forget the positions of a deleted topic: `identity` pins a topic beyond that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaConsumer
from kafka import errors as ke
from kafka.structs import OffsetAndMetadata, TopicPartition

from rejoinder.core.errors import BadSettings, LogReplaced, LogUnavailable
from rejoinder.stream.kafka.library import (
    RETRY_AFTER_S,
    Library,
    asked,
    check_brokers,
    check_checksums,
    noted,
    partitions_of,
    translating,
)
from rejoinder.stream.kafka.log import connected, tell_left
from rejoinder.stream.kafka.member import KafkaMember
from rejoinder.stream.kafka.reader import Reader
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.topics import described
from rejoinder.stream.port import Partition, Position, Rebalanced

_UNKNOWN = ke.UnknownTopicOrPartitionError.errno


@dataclass(frozen=True)
class Start:
    """Where a group without a position begins. at: "earliest", "latest" or seconds since the epoch."""

    at: str | float = "earliest"


class ForeignTopics:
    """Some topics on somebody else's brokers. owns: an admin client; what it makes belongs to who asked.

    identities: topic → its id as the user has pinned it, where one is. Raises BadSettings for a topic that is not
    there or may not be read, LogReplaced for another id than the pinned one, LogUnavailable where no broker answers.
    """

    def __init__(self, settings: KafkaSettings, topics: Sequence[str], identities: Mapping[str, str]) -> None:
        check_checksums()
        self._settings = settings
        self._library = Library(settings, "rejoinder-observe")
        self._admin = connected(self._library, settings)
        try:
            check_brokers(self._admin)
            with translating("looking at the topics"):
                rows = asked(self._admin, lambda: described(self._admin, topics), settings.request_s)
            self.ids = {topic: _identity(topic, rows.get(topic)) for topic in topics}
            for topic, pinned in identities.items():
                if pinned and pinned != self.ids[topic]:
                    raise LogReplaced(f"topic {topic} was made anew: its id is {self.ids[topic]}", topic=topic)
        except BaseException:
            self._admin.close()
            raise

    def join(self, group: str, member: str, start: Start) -> ForeignMember:
        with translating("joining a group"):
            consumer = self._library.member(group, member)
        return ForeignMember(consumer, self.ids, self._settings, self._admin, group, member, start)

    def reader(self) -> Reader:
        """Without a group, and with nothing committed."""
        return Reader(self._library.reader, {topic: topic for topic in self.ids}, self._settings)

    def close(self) -> None:
        self._admin.close()


class ForeignMember(KafkaMember):
    """As KafkaMember, which commits what it is told and looks about in time."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        ids: Mapping[str, str],
        settings: KafkaSettings,
        admin: KafkaAdminClient,
        group: str,
        member: str,
        start: Start,
    ) -> None:
        self._topic_ids = ids
        self._start = start
        names = {topic: topic for topic in ids}
        super().__init__(
            consumer, list(ids), names, settings, lambda member_id: tell_left(admin, group, member_id, member)
        )

    def committed(self) -> Mapping[Partition, Position]:
        """Where the group stands, per assigned partition that it stands in. Raises LogReplaced."""
        mine = sorted(self._mine())
        with translating("asking for positions"):
            found = noted(self._consumer, mine, self._wait_s)
        return {self._port(where): self._known(where, at) for where, at in found.items()}

    def commit_at(self, positions: Mapping[Partition, Position]) -> None:
        """Makes these the group's positions. Raises Rebalanced after a rebalance."""
        metadata, _ = self.claim()
        if metadata != self._consumer.group_metadata():
            raise Rebalanced("the member lost its partitions")
        offsets = {self._where(p): self._note(self._where(p), at) for p, at in positions.items()}
        with translating("committing positions"):
            self._consumer.commit(offsets, timeout_ms=self._ms())

    def ends(self) -> Mapping[Partition, int]:
        """Per assigned partition, the offset after the last committed record."""
        with translating("asking for offsets"):
            found = self._consumer.end_offsets(sorted(self._mine()), self._ms())
        return {self._port(where): at for where, at in found.items()}

    def offsets_at(self, moments: Mapping[Partition, float]) -> Mapping[Partition, int]:
        """Per partition, the first record that is not before a moment; left out where there is none."""
        asked = {self._where(p): max(0, int(moment * 1000)) for p, moment in moments.items()}
        with translating("asking for offsets"):
            found = self._consumer.offsets_for_times(asked, self._ms())
        return {self._port(where): at.offset for where, at in found.items() if at is not None}

    def _begin(self, partitions: Iterable[TopicPartition]) -> None:
        """The start is committed at once, for every partition that a topic has by now: a process killed before its
        first step must not begin at a later end, and a partition without a position in a topic that has some was added
        since. What lies in that one came after the start, so it is read from its first record."""
        wanted = sorted(partitions)
        with translating("looking for the start"):
            for topic in sorted({where.topic for where in wanted}):
                self._begin_topic(topic, [where for where in wanted if where.topic == topic])

    def _begin_topic(self, topic: str, wanted: Sequence[TopicPartition]) -> None:
        count = partitions_of(self._consumer, topic, self._wait_s)
        everywhere = sorted({*wanted, *(TopicPartition(topic, number) for number in range(count))})
        known = {where: at.offset for where, at in noted(self._consumer, everywhere, self._wait_s).items()}
        if known:
            added = [where for where in wanted if where not in known]
            begun = dict(self._consumer.beginning_offsets(added, self._ms())) if added else {}
        else:
            begun = dict(self._starts(everywhere))
        for where in wanted:
            self._consumer.seek(where, known[where] if where in known else begun[where])
        if begun:
            offsets = {where: self._note(where, Position(offset)) for where, offset in begun.items()}
            self._consumer.commit(offsets, timeout_ms=self._ms())

    def _starts(self, wanted: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        if self._start.at == "earliest":
            found: Mapping[TopicPartition, int] = self._consumer.beginning_offsets(list(wanted), self._ms())
            return found
        ends: Mapping[TopicPartition, int] = self._consumer.end_offsets(list(wanted), self._ms())
        if self._start.at == "latest":
            return ends
        moment = int(float(self._start.at) * 1000)
        there = self._consumer.offsets_for_times(dict.fromkeys(wanted, moment), self._ms())
        return {where: ends[where] if there.get(where) is None else there[where].offset for where in wanted}

    def _note(self, where: TopicPartition, at: Position) -> OffsetAndMetadata:
        return OffsetAndMetadata(at.offset, f"{self._topic_ids[where.topic]} {at.since:.3f}", -1)

    def _known(self, where: TopicPartition, at: OffsetAndMetadata) -> Position:
        identity, _, since = (at.metadata or "").partition(" ")
        if identity and identity != self._topic_ids[where.topic]:
            raise LogReplaced("the topic was made anew since it was read", topic=where.topic, position=at.offset)
        try:
            return Position(at.offset, float(since or 0.0))
        except ValueError:
            return Position(at.offset)


def _identity(topic: str, row: Mapping[str, object] | None) -> str:
    code = _UNKNOWN if row is None else row["error_code"]
    error = ke.for_code(code)
    if code == _UNKNOWN or issubclass(error, ke.AuthorizationError):
        raise BadSettings(
            f"topic {topic} is not there, or may not be read (Read on it is needed); it is never made here", topic=topic
        )
    if code or row is None or not row["partitions"]:
        raise LogUnavailable(f"topic {topic} cannot be looked at", retry_after_s=RETRY_AFTER_S, error=error.__name__)
    return str(row["topic_id"])
