"""All that knows kafka-python's ways: how its clients are set up, what its errors mean, and what it does not say aloud.

The library's own defaults are others than ours in places that matter: it reads uncommitted records, rebalances
everything at once, commits by a timer and makes topics that are missing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import errors as ke
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.future import Future
from kafka.net.compat import KafkaNetClient
from kafka.record import util as checksums
from kafka.structs import OffsetAndMetadata, TopicPartition

from rejoinder.core.errors import BadSettings, Fenced, LogReplaced, LogUnavailable, RejoinderError
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.port import NewRecord, Rebalanced

Answer = TypeVar("Answer")

OLDEST_BROKER = (2, 7)
#: Told to callers of a log whose brokers are away.
RETRY_AFTER_S = 1.0
#: Ten years.
_NEVER_MS = 10 * 365 * 86_400_000
#: Heartbeats of a member in the time after which it is taken for dead.
_HEARTBEATS = 20
#: Bytes of a record beside its key, value and header values.
_RECORD_OVERHEAD = 128

#: Another holder has our transactional id or our member's name.
_FENCED = (ke.ProducerFencedError, ke.InvalidProducerEpochError, ke.FencedInstanceIdError)
_LOST = (ke.CommitFailedError, ke.RebalanceInProgressError, ke.IllegalGenerationError, ke.UnknownMemberIdError)
_SIZES = (ke.MessageSizeTooLargeError, ke.RecordListTooLargeError)
_REFUSED = (ke.AuthorizationError, ke.SaslAuthenticationFailedError)


def check_checksums() -> None:
    """Raises BadSettings where every record would be summed byte by byte in Python, about a thousand times slower."""
    if checksums.crc32c_c is None:
        raise BadSettings("the log on Kafka needs the C package crc32c: pip install crc32c", field="log.kind")


def check_brokers(admin: KafkaAdminClient) -> None:
    """Raises BadSettings for brokers from which a fenced holder of a transactional id would take it back: before 2.7
    they do not tell it that it was fenced, and the library asks for the id anew."""
    found = admin._manager.broker_version
    if found < OLDEST_BROKER:
        raise BadSettings(
            f"the brokers are Kafka {_dotted(found)}, the log needs {_dotted(OLDEST_BROKER)} or later",
            field="bootstrap",
        )


def translated(error: BaseException, what: str) -> RejoinderError:
    """The product's error for one of the library's. what: what was being done. No text of the library is passed on: it
    quotes requests."""
    kind = type(error).__name__
    if isinstance(error, RejoinderError):
        return error
    if isinstance(error, _FENCED):
        return Fenced("another holder took this name", doing=what, error=kind)
    if isinstance(error, _LOST):
        return Rebalanced("the member lost its partitions", doing=what, error=kind)
    if isinstance(error, ke.LogTruncationError):
        return LogReplaced("the log was cut behind what was read", doing=what)
    if isinstance(error, _SIZES):
        # The caller's own limit was checked before: the topic's was lowered since this process has looked at it.
        return LogUnavailable(f"the brokers take only smaller records than the settings allow: {what}", error=kind)
    if isinstance(error, _REFUSED):
        return LogUnavailable(f"the brokers do not allow it: {what}{_topics_of(error)}", error=kind)
    return LogUnavailable(f"the brokers did not answer: {what}", retry_after_s=RETRY_AFTER_S, error=kind)


def _topics_of(error: BaseException) -> str:
    """Which topics a caller has no right to, as the library says in two ways."""
    if not isinstance(error, ke.TopicAuthorizationFailedError) or not error.args:
        return ""
    named = error.args[0]
    return f" ({', '.join(sorted({named} if isinstance(named, str) else named))}): see the ACLs in NOTES.md"


@contextmanager
def translating(what: str) -> Iterator[None]:
    try:
        yield
    except (ke.KafkaError, OSError) as error:
        raise translated(error, what) from None


def asked(admin: KafkaAdminClient, ask: Callable[[], Answer], within_s: float) -> Answer:
    """What an admin client asks, answered by whichever broker lives. 3.0.12 asks one, once: with one of three dead,
    every third question fails. Asked as often as there are brokers: one that failed is left out for a while.
    ask: is safe to repeat."""
    deadline = time.monotonic() + within_s
    for _ in admin._manager.cluster.brokers():
        try:
            return ask()
        except ke.RetriableError:
            if time.monotonic() > deadline:
                raise
            # Kept for good otherwise, and it may be the dead one.
            admin._controller_id = None
    return ask()


class _Overheard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reasons: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.reasons += [part for part in record.args or () if isinstance(part, BaseException)]


@contextmanager
def overhearing() -> Iterator[list[BaseException]]:
    """What ended each attempt to connect. The library tells its log only: whoever opened it hears of a time that has
    passed, whether nobody was there, the password was wrong or a certificate was not trusted."""
    heard, logger = _Overheard(), logging.getLogger("kafka.net")
    logger.addHandler(heard)
    try:
        yield heard.reasons
    finally:
        logger.removeHandler(heard)


def size_of(key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]]) -> int:
    """Bytes of a record, at most a few more than it takes on the wire."""
    return len(key) + len(value) + _RECORD_OVERHEAD + sum([len(name) + len(data) + 8 for name, data in headers])


Client = TypeVar("Client", KafkaAdminClient, KafkaConsumer, KafkaProducer)


class Library:
    """Makes the library's clients by the settings. owns: nothing; every client belongs to who asked for it."""

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._settings = settings
        self._name = name

    def admin(self) -> KafkaAdminClient:
        """For the start, and for what only an admin may ask."""
        return _made(KafkaAdminClient, **self._common())

    def producer(self, transactional_id: str = "") -> KafkaProducer:
        """Idempotent; acks from every copy in sync. Sending never waits: without metadata it fails at once.

        transactional_id: waits for as long as a request may take instead, since its steps wait anyhow.
        """
        s = self._settings
        waits = _ms(s.request_s) if transactional_id else 0
        return _made(
            KafkaProducer,
            **self._common(),
            enable_idempotence=True,
            acks="all",
            transactional_id=transactional_id or None,
            transaction_timeout_ms=_ms(s.transaction_s),
            max_block_ms=waits,
            linger_ms=0 if transactional_id else _ms(s.linger_s),
            batch_size=s.batch_bytes,
            max_request_size=s.max_record_bytes + _RECORD_OVERHEAD,
            # Deadlines are ours. 3.0.12 gives up its producer id with a late batch and never asks for another: after an
            # outage longer than this the producer would take records for ever and send none.
            delivery_timeout_ms=_NEVER_MS,
            metrics_enabled=False,
        )

    def reader(self) -> KafkaConsumer:
        """Of committed records, in no group."""
        return _made(KafkaConsumer, **self._consumer())

    def member(self, group: str, member: str) -> KafkaConsumer:
        s = self._settings
        consumer = _made(
            KafkaConsumer,
            **self._consumer(),
            group_id=group,
            group_instance_id=member,
            partition_assignment_strategy=(CooperativeStickyAssignor,),
            session_timeout_ms=_ms(s.session_timeout_s),
            # The answer to a heartbeat tells that somebody came or left: until then nobody has their partitions.
            heartbeat_interval_ms=_ms(s.session_timeout_s / _HEARTBEATS),
            max_poll_interval_ms=_ms(s.poll_interval_s),
        )
        keep_finished_joins(consumer)
        return consumer

    def _consumer(self) -> dict[str, Any]:
        return {
            **self._common(),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            # Neither end: a position outside the log is told apart (retention, or another log), never skipped over.
            "auto_offset_reset": "none",
            "fetch_max_wait_ms": 200,
            "metrics_enabled": False,
        }

    def _common(self) -> dict[str, Any]:
        s = self._settings
        out: dict[str, Any] = {
            "bootstrap_servers": [part.strip() for part in s.bootstrap.split(",")],
            "client_id": self._name,
            "security_protocol": ("SASL_" if s.sasl else "") + ("SSL" if s.tls else "PLAINTEXT"),
            "request_timeout_ms": _ms(s.request_s),
            "bootstrap_timeout_ms": _ms(s.request_s),
            "metadata_max_age_ms": _ms(s.metadata_s),
            # A broker that comes back is found within a second.
            "reconnect_backoff_max_ms": 1000,
            "retry_backoff_ms": 50,
        }
        if s.tls:
            out["ssl_cafile"] = _text(s.ca_file)
            out["ssl_certfile"] = _text(s.cert_file)
            out["ssl_keyfile"] = _text(s.key_file)
        if s.sasl:
            out["sasl_mechanism"] = s.sasl
            out["sasl_plain_username"] = s.user
            out["sasl_plain_password"] = _password(s)
        return out


def _made(kind: type[Client], **options: Any) -> Client:
    """A client, never asking brokers to make a topic that is missing: 3.0.12 has the option and forgets it on the way
    to the request, so that a deleted topic would be back at once, with a broker's defaults.

    One that could not be made leaves nothing behind: 3.0.12 would leave its thread and its sockets.
    """
    nets: list[KafkaNetClient] = []

    def net(**given: Any) -> KafkaNetClient:
        nets.append(KafkaNetClient(**given))
        nets[-1]._manager.cluster.config["allow_auto_create_topics"] = False
        return nets[-1]

    try:
        return kind(**options, kafka_client=net)
    except BaseException:
        for each in nets:
            each.close()
        raise


class Moves(ConsumerRebalanceListener):
    """Partitions that came or went during a poll, a partition that did both included. owns: their set.

    The library calls it on its own thread, while the member's thread waits inside `poll`. What moved has been read by
    another member meanwhile: answers about committed positions that were asked for before are forgotten.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._moved: set[TopicPartition] = set()

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._note(revoked)

    def on_partitions_lost(self, lost: Sequence[TopicPartition]) -> None:
        self._note(lost)

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._note(assigned)

    def taken(self) -> set[TopicPartition]:
        moved, self._moved = self._moved, set()
        return moved

    def _note(self, moved: Sequence[TopicPartition]) -> None:
        forget_answers(self._consumer)
        self._moved.update(moved)


def forget_answers(consumer: KafkaConsumer) -> None:
    """A question about committed positions that was given up is kept by 3.0.12, and its answer is given to the next one
    who asks for the same partitions, however late that is and whatever was committed meanwhile."""
    consumer._coordinator._offset_fetch_futures.clear()


def committed(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, int]:
    """The group's positions as they are now, in one question; a partition without one is left out."""
    return {where: at.offset for where, at in noted(consumer, partitions, timeout_s).items()}


def noted(
    consumer: KafkaConsumer, partitions: Sequence[TopicPartition], timeout_s: float
) -> dict[TopicPartition, OffsetAndMetadata]:
    """As `committed`, with what was noted beside each."""
    forget_answers(consumer)
    found: dict[TopicPartition, OffsetAndMetadata] = consumer._coordinator.fetch_committed_offsets(
        partitions, _ms(timeout_s)
    )
    return found


def without_position(consumer: KafkaConsumer) -> set[TopicPartition]:
    """Assigned partitions whose committed position the brokers have not told yet."""
    return set(consumer._subscription.missing_fetch_positions())


def fenced_in_silence(consumer: KafkaConsumer) -> bool:
    """Whether another process took this member's name. 3.0.12 hears it in a heartbeat, stops beating, and reads on."""
    coordinator = consumer._coordinator
    with coordinator._lock:
        # It stops beating for the moment of a join too, and calls itself stable until that has begun.
        return coordinator.stable() and not coordinator.rejoining and not coordinator._heartbeat_enabled


def topic_ids(consumer: KafkaConsumer, topics: Sequence[str]) -> dict[str, str]:
    """Topic ids as the consumer's last look at the cluster had them; nothing is asked."""
    found = {topic: consumer._cluster.topic_id(topic) for topic in topics}
    return {topic: str(identity) for topic, identity in found.items() if identity is not None}


def learn_topics(consumer: KafkaConsumer, timeout_s: float) -> None:
    """Waits until a subscriber knows its topics' partitions. A leader that joins before shares nothing out, and the
    group is formed twice more. Raises KafkaTimeoutError."""
    consumer._net.run(consumer._manager.wait_for, consumer._cluster.request_update(), _ms(timeout_s))


def partitions_of(consumer: KafkaConsumer, name: str, timeout_s: float) -> int:
    """How many a topic has, as the last look at the cluster had it; one that was not looked at yet is asked for. Raises
    KafkaTimeoutError."""
    cluster = consumer._cluster
    deadline = time.monotonic() + timeout_s
    while not (found := cluster.partitions_for_topic(name)):
        left = deadline - time.monotonic()
        if left <= 0:
            raise ke.KafkaTimeoutError(f"no partitions within {timeout_s} s")
        cluster.add_topic(name)
        # An answer to a look that was under way already may know nothing of the topic.
        consumer._net.run(consumer._manager.wait_for, cluster.request_update(), _ms(left))
    return len(found)


def keep_finished_joins(consumer: KafkaConsumer) -> None:
    """3.0.12 joins in the background and drops an answer that came between two polls: it joins anew, and the group with
    it. Members that are polled for moments only, or on a slow machine, would form their group for ever. The next poll
    is given the answer instead.

    And it forgets a join under way whose reason has passed (a topic that was away for a moment is back): such a member
    is in no group and sends no heartbeat, and its polls find nothing for ever. A join that was begun is ended."""
    coordinator, net = consumer._coordinator, consumer._net
    join, needed = coordinator.join_group_async, coordinator.need_rejoin

    async def join_or_take(timeout_ms: float | None = None) -> bool:
        task = coordinator._join_task
        if coordinator.need_rejoin() and task is not None and task.succeeded():
            # Not done yet when it is looked at, and done before any time to wait is over.
            coordinator._join_task = answer = Future()
            net.call_soon(lambda: answer.success(task.value))
        joined: bool = await join(timeout_ms)
        return joined

    coordinator.join_group_async = join_or_take
    coordinator.need_rejoin = lambda: coordinator.rejoining or needed()


def free_parked(consumer: KafkaConsumer) -> None:
    """What a paused partition had left of a fetch is parked, and 3.0.12 takes it back only while nothing stands in
    line: a partition that was read to its end stands there for ever, and the parked one is neither given out nor
    fetched again. To be called before each poll of a consumer whose partitions are paused now and then."""
    fetcher = consumer._fetcher
    if fetcher._next_partition_records is not None and not fetcher._next_partition_records:
        fetcher._next_partition_records = None


def ask_to_rejoin(consumer: KafkaConsumer) -> None:
    """The group is formed anew at the next poll. The leader of a group that died and came back under its name does not
    know that it leads (JoinGroup before version 9), so nobody would notice added partitions."""
    consumer._coordinator.request_rejoin()


def finish_transaction(producer: KafkaProducer, commit: bool, timeout_s: float) -> None:
    """Commits or aborts, within a time: the library itself would wait for ever. Raises KafkaTimeoutError."""
    manager = producer._transaction_manager
    _within(producer, manager.begin_commit() if commit else manager.begin_abort(), timeout_s)


def send_offsets(producer: KafkaProducer, offsets: Any, metadata: Any, timeout_s: float) -> None:
    """Puts a group's positions into the transaction, within a time. Raises KafkaTimeoutError."""
    manager = producer._transaction_manager
    with manager._lock:
        # 3.0.12 takes out only what was committed: an undone step's positions would go along with the next step's.
        manager._pending_txn_offset_commits.clear()
        result = manager.send_offsets_to_transaction(offsets, metadata)
    _within(producer, result, timeout_s)


def send_within(producer: KafkaProducer, name: str, record: NewRecord, timeout_s: float) -> Any:
    """The future of a record sent, once the topic's partitions are known within a time. Raises KafkaTimeoutError."""
    producer.config["max_block_ms"] = max(0, _ms(timeout_s))
    return producer.send(name, record.value, record.key, list(record.headers))


def last_error(producer: KafkaProducer) -> BaseException | None:
    """Why a transaction cannot go on; the library wraps it in a sentence."""
    return producer._transaction_manager.last_error


def broken(producer: KafkaProducer) -> bool:
    """Whether a producer will never send again: its producer id was refused, or the request for one timed out, which
    3.0.12 takes for the end."""
    return producer._transaction_manager.has_fatal_error()


def close_producer(producer: KafkaProducer, timeout_s: float) -> None:
    """Waits for what is under way, then lets go. A producer with records that nobody takes refuses to close."""
    try:
        producer.close(timeout=timeout_s)
    except ke.KafkaError:
        producer._sender.force_close()
        producer._sender.join(timeout_s)
        producer._closed = True


def await_silence(producer: KafkaProducer, timeout_s: float) -> None:
    """Waits until a closed producer sends nothing more: one that waited for a broker still sends once it is there."""
    producer._sender.join(timeout_s)


def _within(producer: KafkaProducer, result: Any, timeout_s: float) -> None:
    producer._sender.wakeup()
    if not result.wait(timeout_ms=_ms(timeout_s)):
        raise ke.KafkaTimeoutError(f"no answer within {timeout_s} s")


def _password(settings: KafkaSettings) -> str:
    assert settings.password_file is not None
    try:
        return settings.password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise BadSettings(
            f"kafka.password_file {settings.password_file} cannot be read", field="password_file"
        ) from None


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
