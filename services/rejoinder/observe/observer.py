"""The work: poll → map → feedback service → dead letters → commit, until somebody asks it to stop.

A position is committed when the log has acknowledged everything before it, so a kill anywhere makes the next process
read some records again; their events have the same ids and bodies, and count once. While the service is away or busy
the batch in hand is tried again for as long as it takes, nothing is read on, and membership is kept alive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from rejoinder.core.clock import Clock
from rejoinder.core.errors import PASSING, FailedPrecondition
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, Interaction, RecordOutcome
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.letters import Letters
from rejoinder.observe.mapped import Event, Mapper, Place, Reads, found_in_a_history
from rejoinder.observe.paths import Unmapped
from rejoinder.observe.turns import Conversations, Order
from rejoinder.runtime.logging import EventLog
from rejoinder.stream.port import NewRecord, Partition, Position, Rebalanced, Record

#: First pause; doubled up to the setting.
_BACKOFF_S = 0.1
#: Events between two signs of life.
_AT_ONCE = 500
#: Longest sleep between two signs of life while the service is away.
_BEAT_S = 0.5


class Member(Protocol):
    """A `stream.kafka.foreign.ForeignMember`."""

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]: ...
    def assignment(self) -> frozenset[Partition]: ...
    def positions(self) -> Mapping[Partition, int]: ...
    def committed(self) -> Mapping[Partition, Position]: ...
    def commit_at(self, positions: Mapping[Partition, Position]) -> None: ...
    def ends(self) -> Mapping[Partition, int]: ...
    def offsets_at(self, moments: Mapping[Partition, float]) -> Mapping[Partition, int]: ...
    def seek(self, partition: Partition, offset: int) -> None: ...
    def rewind(self) -> None: ...


class Sink(Protocol):
    """Where events and dead letters go; durable on return."""

    def record(self, topic: str, events: Sequence[Event]) -> Sequence[tuple[RecordOutcome, str]]:
        """(outcome, reason) of each."""

    def bury(self, letters: Sequence[NewRecord]) -> None: ...


@dataclass(frozen=True)
class Manner:
    """As settings.py has them; times in seconds."""

    poll_s: float = 0.5
    batch: int = 500
    look_s: float = 1.0
    backoff_max_s: float = 5.0
    stops: bool = False
    poison_limit: int = 100


@dataclass(frozen=True)
class Dead:
    """A record to put aside. reason: an ErrorReason name."""

    record: Record
    reason: str


@dataclass
class Batch:
    """What is in hand. owns: what is left of it to deliver; events with the record that each was made of."""

    events: list[tuple[Event, Record]] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.events and not self.dead


class Observer:
    """owns: the batch in hand, the messages of open conversations and what it knows of positions; one thread's.

    mappers, ids: by topic. placed: what a record without an id of its own is called by, by ids where it is None. lag:
    the gauge of what was not read yet, in the member's own unit. wait: sleeps so many seconds, or less when asked to
    stop.
    """

    def __init__(
        self,
        member: Member,
        sink: Sink,
        mappers: Mapping[str, Reads],
        ids: Mapping[str, str],
        letters: Letters,
        order: Order,
        manner: Manner,
        clock: Clock,
        metrics: Metrics,
        log: EventLog,
        wait: Callable[[float], object],
        placed: Callable[[Record, float], Place] | None = None,
        lag: str = "observe_lag_records",
    ) -> None:
        self._member = member
        self._sink = sink
        self._mappers = mappers
        self._letters = letters
        self._order = order
        self._manner = manner
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._wait = wait
        self._placed = placed or (lambda record, now: place_of(record, ids[record.topic], now))
        self._lag = metrics[lag]
        self._turns = {topic for topic, mapper in mappers.items() if mapper.form == "turns"}
        self._conversations = Conversations(order)
        self._batch = Batch()
        self._mine: frozenset[Partition] = frozenset()
        #: Below it a record is context: its events were taken before.
        self._from: dict[Partition, int] = {}
        self._committed: dict[Partition, int] = {}
        #: Up to which moment of the log's own time a partition has been read.
        self._read_to: dict[Partition, float] = {}
        self._looked_at: float | None = None
        self._failures = 0
        self._unmapped_in_row = 0
        self._refused_in_row = 0

    def run(self, stopped: Callable[[], bool]) -> None:
        """Until stopped. Raises FailedPrecondition for a topic that cannot be read as the map says, LogReplaced,
        Fenced, and what the service answers that a person must mend; what was not acknowledged is not committed."""
        while not stopped():
            try:
                self.turn()
                self._failures = 0
            except Rebalanced:
                self._log.info("partitions_moved")
                self._again()
            except PASSING as error:
                self._failures += 1
                self._metrics["observe_pauses_total"].labels(error.reason).inc()
                self._log.warning("turn_failed", reason=error.reason, attempt=self._failures)
                self._pause(error.retry_after_s, stopped)

    def turn(self) -> None:
        """One batch: read, unless one is in hand, delivered, committed."""
        if self._batch.empty:
            records = self._member.poll(self._manner.poll_s, self._manner.batch)
            if self._member.assignment() != self._mine:
                self._arrive()
                return
            for record in records:
                self._take(record)
            self._look()
            self._settle()
        self._deliver()
        self._bury()
        self._commit()

    # -- Where it reads.

    def _arrive(self) -> None:
        """Partitions came or went: what is open is read again from the topics, so that every history is what it was."""
        mine = self._member.assignment()
        self._member.rewind()
        known = self._member.committed()
        self._conversations = Conversations(self._order)
        self._from = {partition: at.offset for partition, at in known.items()}
        self._committed = dict(self._from)
        self._read_to = {}
        self._looked_at = None
        # What was not committed is read again, and must not be counted again as one more in a row.
        self._unmapped_in_row = self._refused_in_row = 0
        since = {p: at.since for p, at in known.items() if p[0] in self._turns and at.since > 0}
        for partition, offset in self._member.offsets_at(since).items() if since else ():
            self._member.seek(partition, min(offset, self._from[partition]))
        self._mine = mine
        self._log.info("partitions_assigned", partitions=len(mine), with_context=len(since))

    def _again(self) -> None:
        """Back to the committed positions; what is in hand will be read again."""
        self._batch = Batch()
        self._mine = frozenset()

    def _look(self) -> None:
        """Ends now and then: for the lag, and for partitions that have nothing more to say."""
        now = self._clock.monotonic()
        if not self._mine or (self._looked_at is not None and now - self._looked_at < self._manner.look_s):
            return
        wall, ends, positions = self._clock.now(), self._member.ends(), self._member.positions()
        self._looked_at = now
        behind = {p: max(0, end - positions.get(p, self._from.get(p, 0))) for p, end in ends.items()}
        self._lag.set(sum(behind.values()))
        for partition, left in behind.items():
            if not left and partition in positions:
                self._read_to[partition] = max(wall, self._read_to.get(partition, 0.0))

    def _watermark(self) -> float:
        """Up to which moment every partition with messages has been read; 0 while one has not been read at all."""
        return min((self._read_to.get(p, 0.0) for p in self._mine if p[0] in self._turns), default=0.0)

    def _commit(self) -> None:
        held = self._conversations.held()
        since = self._conversations.since(self._watermark()) if self._turns else 0.0
        moved = {}
        for partition, at in self._member.positions().items():
            if partition not in self._mine:
                # It came while a batch was tried again: what was noted beside its position is not ours to say yet.
                continue
            least = self._from.get(partition, 0)
            offset = max(least, min(at, held.get(partition, at)))
            if offset != self._committed.get(partition):
                moved[partition] = Position(offset, max(0.0, since))
        if moved:
            self._member.commit_at(moved)
            self._committed.update({partition: at.offset for partition, at in moved.items()})

    # -- What it reads.

    def _take(self, record: Record) -> None:
        where = (record.topic, record.partition)
        context = record.offset < self._from.get(where, 0)
        if record.timestamp > 0:
            self._read_to[where] = max(self._read_to.get(where, 0.0), min(record.timestamp, self._clock.now()))
        if not record.value:
            self._count("empty")
            return
        mapper = self._mappers[record.topic]
        try:
            found = mapper.read(parsed(record.value), self._placed(record, self._clock.now()))
        except Unfit as fault:
            if not context:
                self._unmapped(record, fault)
            return
        self._unmapped_in_row = 0 if not found.skipped else self._unmapped_in_row
        if found.said is not None:
            assert isinstance(mapper, Mapper)
            new = self._conversations.add(found.said, mapper, record, context)
            self._count("context" if context else "mapped" if new else "repeated")
        elif not context:
            self._count("skipped" if found.skipped else "mapped")
            self._batch.events += [(event, record) for event in found.events]

    def _settle(self) -> None:
        hurried = self._conversations.hurried
        settled_now = self._conversations.settle(self._watermark())
        self._metrics["observe_hurried_total"].inc(self._conversations.hurried - hurried)
        for settled in settled_now:
            if settled.fault is not None:
                self._metrics["observe_unmapped_total"].labels(settled.fault.cause).inc()
                self._batch.dead.append(Dead(settled.tag, "EMPTY_FIELD"))
            self._batch.events += [(event, settled.tag) for event in settled.events]
        self._metrics["observe_waiting_records"].set(len(self._conversations))

    def _unmapped(self, record: Record, fault: Unfit) -> None:
        cause, name = getattr(fault, "cause", "unusable"), getattr(fault, "field", "")
        self._count("unmapped")
        self._metrics["observe_unmapped_total"].labels(cause).inc()
        coordinate: dict[str, Any] = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        self._log.warning("record_not_mapped", cause=cause, field=name, **coordinate)
        self._unmapped_in_row += 1
        if self._manner.stops:
            raise FailedPrecondition(
                "a record cannot be mapped, and faults.unmapped is stop", cause=cause, **coordinate
            )
        if self._unmapped_in_row > self._manner.poison_limit:
            raise FailedPrecondition(
                "so many records in a row cannot be mapped that the map must be wrong: try it with --check",
                records=self._unmapped_in_row,
                cause=cause,
                **coordinate,
            )
        reason = {"not_json": "UNREADABLE", "missing": "EMPTY_FIELD"}.get(cause, "INVALID_ARGUMENT")
        self._batch.dead.append(Dead(record, reason))

    # -- Where it goes.

    def _deliver(self) -> None:
        """Answers first, so that what was said about them finds them. What was taken is not sent again."""
        for topic, kind in (("interactions", Interaction), ("feedback", Feedback)):
            waiting = [item for item in self._batch.events if isinstance(item[0], kind)]
            others = [item for item in self._batch.events if not isinstance(item[0], kind)]
            for start in range(0, len(waiting), _AT_ONCE):
                if start:
                    # Some records are thousands of events: the group must hear from this member meanwhile.
                    self._stay()
                self._send(topic, waiting[start : start + _AT_ONCE])
                self._batch.events = [*waiting[start + _AT_ONCE :], *others]

    def _send(self, topic: str, part: Sequence[tuple[Event, Record]]) -> None:
        results = self._sink.record(topic, [event for event, _ in part])
        for (event, record), (outcome, reason) in zip(part, results, strict=True):
            self._metrics["observe_events_total"].labels(topic, outcome.value).inc()
            if outcome is RecordOutcome.REJECTED:
                self._refused(event, record, reason)
            else:
                self._refused_in_row = 0

    def _refused(self, event: Event, record: Record, reason: str) -> None:
        """Older than ids are known for: counted, and nothing more could be done with it. A follow-up that is found in
        two histories is the first's. Anything else is put aside."""
        self._metrics["observe_refused_total"].labels(reason).inc()
        if reason == "EXPIRED" or (reason == "EVENT_ID_CONFLICT" and found_in_a_history(event)):
            return
        self._refused_in_row += reason != "EVENT_ID_CONFLICT"
        if self._manner.stops or self._refused_in_row > self._manner.poison_limit:
            raise FailedPrecondition(
                "the service refuses what the map makes of the records: try it with --check",
                records=self._refused_in_row,
                last_reason=reason,
            )
        self._batch.dead.append(Dead(record, reason))

    def _bury(self) -> None:
        if self._batch.dead:
            self._sink.bury([self._letter(dead) for dead in self._batch.dead])
            self._batch.dead = []

    def _letter(self, dead: Dead) -> NewRecord:
        record = dead.record
        try:
            user = self._mappers[record.topic].user_of(parsed(record.value))
        except Unfit:
            user = ""
        # A followed file's serial says little: another machine has the same. The content is part of its place.
        origin = self._placed(record, self._clock.now()).origin
        return self._letters.record(record, origin, dead.reason, user)

    def _pause(self, asked_s: float | None, stopped: Callable[[], bool]) -> None:
        """As long as the service asks, or longer each time; the group hears from this member meanwhile."""
        left = max(asked_s or 0.0, min(self._manner.backoff_max_s, _BACKOFF_S * 2 ** min(self._failures - 1, 10)))
        while left > 0 and not stopped():
            self._wait(min(left, _BEAT_S))
            left -= _BEAT_S
            if not self._batch.empty:
                self._stay()

    def _stay(self) -> None:
        """A sign of life, and the lag, which grows now; what it fetches waits. Partitions that moved meanwhile are
        found out once the batch is delivered: others deliver the same events."""
        with suppress(Rebalanced, *PASSING):
            self._member.poll(0.0, 0)
            self._look()

    def _count(self, outcome: str) -> None:
        self._metrics["observe_records_total"].labels(outcome).inc()


def place_of(record: Record, identity: str, now: float) -> Place:
    """identity: its topic's id."""
    # A producer's clock may be ahead: what waited for such a moment would hold its partition back until then.
    at = min(record.timestamp, now) if record.timestamp > 0 else None
    return Place(record.topic, identity, record.partition, record.offset, at)


def parsed(value: bytes) -> Any:
    """The object a record holds. Raises Unmapped for what is no JSON object in UTF-8."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Unmapped("not_json", "record")
    return found
