"""Appending, pipelined: a call hands its records to the library's thread and returns; nothing here waits for a broker.

What bounds it: records and bytes on their way (QueueFull at once), and a deadline per call (LogUnavailable). A record
that is late stays on its way and is sent once brokers are back, in its order and with its sequence number; its id is
remembered until then, so that a caller's second attempt joins the first. A producer that broke is replaced, at
growing distances while the new one breaks too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from kafka import KafkaProducer
from kafka import errors as ke

from rejoinder.core.errors import LogUnavailable, QueueFull, RejoinderError, TooLong
from rejoinder.core.types import Coordinate
from rejoinder.stream.kafka.library import (
    RETRY_AFTER_S,
    broken,
    close_producer,
    size_of,
    translated,
    translating,
)
from rejoinder.stream.kafka.recent import Outcome, RecentIds
from rejoinder.stream.kafka.settings import KafkaSettings
from rejoinder.stream.kafka.together import End, Hand, Sent
from rejoinder.stream.port import Appended, NewRecord

logger = logging.getLogger(__name__)

#: How often overdue calls are looked for: how much later than `delivery_s` one may fail.
_LOOK_S = 0.1
#: The longest wait from one replacement of a producer to the next; the first is `_LOOK_S`, doubled each time. Below
#: what making one waits for brokers, so that an outage's end is not slept through.
_REPLACE_MAX_S = 5.0


class _Call(Future[Sequence[Appended]]):
    """One call of `append`: done when every record's outcome is known, or failed when it is late.

    over: whether it is done, which a future tells under a lock only.
    """

    def __init__(self, count: int, size: int, due: float) -> None:
        super().__init__()
        self.count = count
        self.size = size
        self.due = due
        self.over = False
        self._outcomes: list[Outcome | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()

    def cancel(self) -> bool:
        """A caller who gives up cannot cancel what is on its way."""
        return False

    def tell(self, outcomes: Sequence[tuple[int, Outcome]]) -> bool:
        """Takes some records' outcomes by their index; True when none is missing any more."""
        with self._lock:
            for index, outcome in outcomes:
                self._outcomes[index] = outcome
            self._left -= len(outcomes)
            if self._left:
                return False
            if not self.over:
                self.over = True
                self._end()
            return True

    def fail(self, error: RejoinderError) -> None:
        with self._lock:
            if not self.over:
                self.over = True
                self.set_exception(error)

    def _end(self) -> None:
        for outcome in self._outcomes:
            if isinstance(outcome, RejoinderError):
                self.set_exception(outcome)
                return
        self.set_result([outcome for outcome in self._outcomes if isinstance(outcome, Appended)])


class Appender:
    """owns: the producer, the recent ids, the thread that looks for overdue calls and the one that replaces a producer;
    safe to call from any thread.

    make: a new producer. names: topic → its name on the brokers. Raises LogUnavailable when the topics' partitions
    cannot be learnt within `request_s`.
    """

    def __init__(self, make: Callable[[], KafkaProducer], names: Mapping[str, str], settings: KafkaSettings) -> None:
        self._make = make
        self._names = names
        self._producer = _learnt(make(), names, settings.request_s)
        self._hand = Hand(self._producer)
        self._settings = settings
        self._recent = RecentIds(settings.recent_ids)
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._records = 0
        self._bytes = 0
        self._calls: deque[_Call] = deque()
        self._closing = threading.Event()
        self._closed = False
        self._replacing: threading.Thread | None = None
        self._replace_at = 0.0
        self._replace_wait_s = _LOOK_S
        self._watch = threading.Thread(target=self._look, name="kafka-deadlines", daemon=True)
        self._watch.start()

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        sizes = [size_of(record.key, record.value, record.headers) for record in records]
        call = _Call(len(records), sum(sizes), time.monotonic() + self._settings.delivery_s)
        if refused := self._admit(call, max(sizes, default=0)):
            call.fail(refused)
        elif not records:
            call.set_result([])
        else:
            self._send(call, records)
        return call

    def close(self) -> None:
        """Waits for what is on its way, at most as long as it may take; then fails the rest."""
        with self._idle:
            if self._closed:
                return
            self._closed = True
            self._idle.wait_for(lambda: not self._records, self._settings.delivery_s)
        self._closing.set()
        self._watch.join()
        if self._replacing is not None:
            self._replacing.join()
        close_producer(self._producer, 1.0)
        for call in self._calls:
            call.fail(LogUnavailable("the log was closed before the brokers took this"))

    def _admit(self, call: _Call, largest: int) -> RejoinderError | None:
        """Counts a call in, or says why not."""
        limit = self._settings.max_record_bytes
        if largest > limit:
            return TooLong("record", largest, limit)
        with self._lock:
            if self._closed:
                return LogUnavailable("the log is closed")
            full = self._records + call.count > self._settings.queue_records
            if self._records and (full or self._bytes + call.size > self._settings.queue_bytes):
                return QueueFull(
                    "too much is waiting for the brokers", retry_after_s=RETRY_AFTER_S, waiting=self._records
                )
            self._records += call.count
            self._bytes += call.size
            if call.count:
                self._calls.append(call)
        return None

    def _send(self, call: _Call, records: Sequence[NewRecord]) -> None:
        """Hands over the first copies; the second ones hear of them."""
        ended, tell, first = partial(self._ended, call), partial(self._tell_one, call), []
        for index, record in enumerate(records):
            slot = None
            if record.identity is not None:
                slot = self._recent.first(record.identity, tell, index)
                if slot is None:
                    continue
            first.append((self._names[record.topic], Sent(record, index, slot, ended)))
        try:
            self._hand.over(first)
        except Exception as error:
            # Whatever it is: a record that nobody tells of would keep its place in the queue, and its id, for ever.
            if left := [(sent, error) for _, sent in first if not sent.handed]:
                self._ended(call, left)

    def _ended(self, call: _Call, ends: Sequence[tuple[Sent, End]]) -> None:
        """Of first copies of one call; on the library's thread."""
        outcomes: list[tuple[int, Outcome]] = []
        for sent, end in ends:
            if isinstance(end, BaseException):
                outcome: Outcome = translated(end, "appending")
            else:
                outcome = Appended("recorded", Coordinate(sent.topic, sent.partition, end))
            if sent.identity is not None and sent.slot is not None:
                self._recent.fill(sent.identity, sent.slot, outcome)
            outcomes.append((sent.index, outcome))
        self._tell(call, outcomes)

    def _tell_one(self, call: _Call, index: int, outcome: Outcome) -> None:
        self._tell(call, [(index, outcome)])

    def _tell(self, call: _Call, outcomes: Sequence[tuple[int, Outcome]]) -> None:
        if any(isinstance(outcome, Appended) for _, outcome in outcomes):
            self._replace_wait_s = _LOOK_S
        if call.tell(outcomes):
            with self._idle:
                self._records -= call.count
                self._bytes -= call.size
                if not self._records:
                    self._idle.notify_all()

    def _look(self) -> None:
        """Fails calls that are overdue, and has a broken producer replaced. Calls are due in their order, so the first
        that is not ends a look. Nothing ends the thread but closing: without it no call would ever be late."""
        while not self._closing.wait(_LOOK_S):
            try:
                self._fail_overdue(time.monotonic())
                self._replace_broken(time.monotonic())
            except Exception as error:
                logger.error("look failed error=%s", type(error).__name__)

    def _fail_overdue(self, now: float) -> None:
        while self._calls and (self._calls[0].over or self._calls[0].due <= now):
            call = self._calls.popleft()
            if not call.over:
                call.fail(LogUnavailable("the brokers did not take this in time", retry_after_s=RETRY_AFTER_S))

    def _replace_broken(self, now: float) -> None:
        """On a thread of its own, since making a producer waits for brokers."""
        if self._replacing is not None and self._replacing.is_alive():
            return
        if broken(self._producer) and now >= self._replace_at:
            self._replace_at = now + self._replace_wait_s
            self._replace_wait_s = min(_REPLACE_MAX_S, 2 * self._replace_wait_s)
            self._replacing = threading.Thread(target=self._replace, name="kafka-replace", daemon=True)
            self._replacing.start()

    def _replace(self) -> None:
        """Whatever the old producer had was failed when it broke, so the new one can reorder nothing."""
        try:
            fresh = _learnt(self._make(), self._names, self._settings.request_s)
        except Exception as error:
            logger.warning("producer not replaced error=%s", type(error).__name__)
            return
        old, self._producer, self._hand = self._producer, fresh, Hand(fresh)
        logger.warning("producer replaced")
        close_producer(old, 0.0)


def _learnt(producer: KafkaProducer, names: Mapping[str, str], within_s: float) -> KafkaProducer:
    """The producer once it knows every topic's partitions; later on it never waits for metadata. Closed when it cannot
    learn them."""
    try:
        with translating("learning the topics"):
            _wait_known(producer, set(names.values()), time.monotonic() + within_s)
    except BaseException:
        close_producer(producer, 0.0)
        raise
    return producer


def _wait_known(producer: KafkaProducer, unknown: set[str], deadline: float) -> None:
    while unknown := {name for name in unknown if not _knows(producer, name)}:
        if time.monotonic() > deadline:
            raise LogUnavailable("the brokers did not answer: learning the topics", retry_after_s=RETRY_AFTER_S)
        time.sleep(0.01)


def _knows(producer: KafkaProducer, name: str) -> bool:
    """Whether the producer knows a topic's partitions; asked once, it sets out to learn them."""
    try:
        return bool(producer.partitions_for(name))
    except ke.KafkaTimeoutError:
        return False
