"""The log on Apache Kafka: any number of processes may write, read and share the work of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from kafka import KafkaAdminClient
from kafka import errors as ke
from kafka.admin import MemberToRemove, OffsetSpec
from kafka.protocol.consumer.offsets import IsolationLevel
from kafka.structs import TopicPartition

from rejoinder.core.errors import BadSettings, FailedPrecondition, LogUnavailable, RejoinderError
from rejoinder.stream.kafka.appender import Appender
from rejoinder.stream.kafka.library import (
    RETRY_AFTER_S,
    Library,
    asked,
    check_brokers,
    check_checksums,
    close_producer,
    overhearing,
    translated,
    translating,
)
from rejoinder.stream.kafka.member import KafkaMember
from rejoinder.stream.kafka.reader import Reader
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.topics import described, prepare
from rejoinder.stream.kafka.transaction import KafkaTransaction
from rejoinder.stream.port import Appended, NewRecord, Record
from rejoinder.stream.steps import checked, known_topic
from rejoinder.stream.topics import Topic, full_name, routes_of, with_own


class KafkaLog:
    """A `port.Log`. owns: a producer, unless it only reads, a reader and an admin client; safe to call from any thread.

    Opening makes and checks the topics: raises BadSettings for one that stands otherwise, for credentials that the
    brokers refuse and for a missing C `crc32c`, LogUnavailable when no broker answers within `request_s`.
    name: of the process, in the brokers' logs and quotas. topics: those that it may touch, None for every one.
    appends: False makes no producer, for a process that may write nothing: brokers give it no producer id, so its
    producer would break again and again.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        name: str = "rejoinder",
        topics: Mapping[str, Topic] | None = None,
        appends: bool = True,
    ) -> None:
        check_checksums()
        self._settings = settings
        self.topics = topics = with_own(settings.tenants) if topics is None else topics
        self._routes = routes_of(topics)
        self._names = {topic: full_name(settings.prefix, topic) for topic in topics}
        self._library = Library(settings, name)
        self._lock = threading.Lock()
        self._closed = False
        self._admin = connected(self._library, settings)
        try:
            check_brokers(self._admin)
            prepare(self._admin, topics, settings)
            self._appender = Appender(self._library.producer, self._names, settings) if appends else None
        except BaseException:
            self._admin.close()
            raise
        self._reader = Reader(self._library.reader, self._names, settings)

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        if self._appender is None:
            refused: Future[Sequence[Appended]] = Future()
            refused.set_exception(FailedPrecondition("the log was opened for reading only"))
            return refused
        return self._appender.append(checked(self.topics, records, self._routes))

    def topic_id(self, topic: str) -> str:
        known_topic(self.topics, topic)
        name = self._names[topic]
        with translating("asking for a topic's id"):
            row = self._described(name)
        if not row["topic_id"]:
            raise LogUnavailable(f"topic {name} is not there", retry_after_s=RETRY_AFTER_S, topic=topic)
        return str(row["topic_id"])

    def partitions(self, topic: str) -> int:
        """As the reader knows them: added ones are heard of within `metadata_s`."""
        known_topic(self.topics, topic)
        return self._reader.partitions(topic)

    def start_offsets(self, topic: str) -> Mapping[int, int]:
        known_topic(self.topics, topic)
        return self._reader.start_offsets(topic)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        known_topic(self.topics, topic)
        return self._reader.end_offsets(topic)

    def read(self, topic: str, partition: int, offset: int, max_records: int = 500) -> Sequence[Record]:
        known_topic(self.topics, topic)
        return self._reader.read(topic, partition, offset, max_records)

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> KafkaMember:
        """Groups are called `<prefix>.<group>` on the brokers."""
        for topic in topics:
            known_topic(self.topics, topic)
        name = self.group(group)
        with translating("joining a group"):
            consumer = self._library.member(name, member)

        def leave(member_id: str) -> None:
            if not self._closed:
                tell_left(self._admin, name, member_id, member)

        return KafkaMember(consumer, topics, self._names, self._settings, leave)

    def transaction(self, transactional_id: str) -> KafkaTransaction:
        """Transactional ids are called `<prefix>.<id>` on the brokers."""
        if self._closed:
            raise LogUnavailable("the log is closed")
        with translating("taking a transactional id"):
            producer = self._library.producer(self.group(transactional_id))
        try:
            producer.init_transactions()
        except (ke.KafkaError, OSError) as error:
            close_producer(producer, 0.0)
            raise translated(error, "taking a transactional id") from None
        return KafkaTransaction(producer, self.topics, self._names, self._settings)

    def grow(self, topic: str, partitions: int) -> None:
        """Adds partitions up to a number; keys are shared out anew from here on. BadSettings for fewer than now.

        Other processes hear of them within `metadata_s`.
        """
        known_topic(self.topics, topic)
        if partitions < self.partitions(topic):
            raise BadSettings("a topic cannot lose partitions", field="partitions", topic=topic)
        with translating("adding partitions"):
            self._asked(lambda admin: admin.create_partitions({self._names[topic]: partitions}))

    def group(self, name: str) -> str:
        """A group's or transactional id's name on the brokers; one ACL on the prefix covers them."""
        return f"{self._settings.prefix}.{name}"

    def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """Up to where a group has read a topic, per partition, as the brokers have it; one without a position is left
        out. Steps that are not decided yet do not count."""
        known_topic(self.topics, topic)
        name = self.group(group)
        with translating("asking for a group's positions"):
            found = self._asked(lambda admin: admin.list_group_offsets({name: None})).get(name, {})
        return {
            where.partition: at.offset
            for where, at in found.items()
            if where.topic == self._names[topic] and at.offset >= 0
        }

    def written(self, topic: str, decided: bool = False) -> Mapping[int, int]:
        """Per partition as the brokers have them now, which this process's reader may not know yet: the offset after
        the last thing written, commit markers included. decided: after the last
        before which no step is open: once that has passed an earlier `written`, everybody sees what lay before it."""
        known_topic(self.topics, topic)
        name = self._names[topic]
        level = IsolationLevel.READ_COMMITTED if decided else IsolationLevel.READ_UNCOMMITTED
        with translating("asking for offsets"):
            row = self._described(name)
            if row["error_code"] or not row["partitions"]:
                raise LogUnavailable(f"topic {name} cannot be looked at", retry_after_s=RETRY_AFTER_S, topic=topic)
            where = {TopicPartition(name, part["partition_index"]): OffsetSpec.LATEST for part in row["partitions"]}
            found = self._asked(lambda admin: admin.list_partition_offsets(where, level))
        return {at.partition: offset.offset for at, offset in found.items()}

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._appender is not None:
            self._appender.close()
        self._reader.close()
        self._admin.close()

    def _described(self, name: str) -> Mapping[str, Any]:
        return self._asked(lambda admin: described(admin, [name]))[name]

    def _asked(self, ask: Callable[[KafkaAdminClient], Any]) -> Any:
        if self._closed:
            raise LogUnavailable("the log is closed")
        return asked(self._admin, lambda: ask(self._admin), self._settings.request_s)


def tell_left(admin: KafkaAdminClient, group: str, member_id: str, member: str) -> None:
    """Tells a group that its static member is gone for good. Without it the others wait for the session's end: the
    library never says it."""
    with suppress(ke.KafkaError):
        admin.remove_group_members(group, [MemberToRemove(member_id=member_id, group_instance_id=member)])


def connected(library: Library, settings: KafkaSettings) -> KafkaAdminClient:
    """An admin client. Raises BadSettings for credentials that brokers refuse, LogUnavailable where none answers."""
    with overhearing() as reasons:
        try:
            return library.admin()
        except (ke.KafkaError, OSError, ValueError) as error:
            raise _refused([error, *reasons], settings) from None


def _refused(reasons: Sequence[BaseException], settings: KafkaSettings) -> RejoinderError:
    """Why no broker could be spoken to, as far as it can be told. A broker that refuses a password hangs up."""
    said = " ".join(str(reason) for reason in reasons)
    where = f"the brokers at {settings.bootstrap}"
    if settings.tls and ("CERTIFICATE" in said.upper() or "SSL" in said.upper()):
        return BadSettings(f"{where} and this process do not trust each other: check kafka.ca_file and kafka.cert_file")
    if settings.sasl and any(isinstance(reason, ke.SaslAuthenticationFailedError) for reason in reasons):
        return BadSettings(f"{where} refuse user {settings.user}: check kafka.password_file and kafka.sasl")
    hint = ""
    if settings.sasl and "disconnected" in said:
        # As a broker does that stops, so it is no proof of a wrong password.
        hint = (
            f"; they hang up: unless they are restarting, check kafka.password_file and kafka.sasl of {settings.user}"
        )
    return LogUnavailable(f"no broker answers at {settings.bootstrap}{hint}", retry_after_s=RETRY_AFTER_S)
