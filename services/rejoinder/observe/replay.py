"""Records that were put aside, read again from their own topics once the map is mended: `rejoinder deadletters replay
--observe`. No position of any group moves.

Ids follow from the record, so what comes of it counts once: however often this is run, and also where somebody sets the
group's position back as well. A message that is a record of its own (`form: turns`) is put where it belongs among those
around it; beside its own event comes what was said right behind it, which was about nothing while it was missing. What
was taken meanwhile with a hole in its history stays as it was.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from rejoinder.core.clock import Clock
from rejoinder.core.ids import subject_of
from rejoinder.core.types import Coordinate, Feedback, FollowUp, Interaction, RecordOutcome, Role
from rejoinder.observe.formats.fields import Unfit
from rejoinder.observe.letters import letter_id
from rejoinder.observe.mapped import Event, Found, Mapper, Said
from rejoinder.observe.observer import Sink, parsed, place_of
from rejoinder.observe.turns import Conversations, Order, Settled
from rejoinder.stream.deadletters import THEIRS, erased_until, letters
from rejoinder.stream.headers import event_of
from rejoinder.stream.port import Log, Record

#: Records read, and events sent, at once.
_AT_ONCE = 500
#: Topic, partition, offset on their brokers.
Spot = tuple[str, int, int]


class Reads(Protocol):
    """A `stream.kafka.reader.Reader` of their topics."""

    def end_offsets(self, topic: str) -> Mapping[int, int]: ...
    def offsets_at(self, topic: str, moment: float) -> Mapping[int, int]: ...
    def read(self, topic: str, partition: int, offset: int, max_records: int) -> Sequence[Record]: ...


@dataclass(frozen=True)
class Again:
    """Of records: taken now, unmapped still, passed (the map's `where` leaves them out), gone (their retention took
    them, and the dead letter holds no bytes), anew (they lay on a topic that was made anew since, or on other brokers),
    elsewhere (of topics that these settings do not name). Of events: recorded, before (they were known already),
    refused (by reason; EVENT_ID_CONFLICT: known otherwise, and the first stays). erased: records or events withheld."""

    taken: int = 0
    unmapped: int = 0
    passed: int = 0
    gone: int = 0
    anew: int = 0
    elsewhere: int = 0
    erased: int = 0
    recorded: int = 0
    before: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kept:
    """A dead letter without its bytes. at: where it lies on our log; accepted_at: its record's own time, seconds."""

    at: Coordinate
    accepted_at: float


class Replay:
    """mappers, ids: by topic, the maps as they are now. key: the deployment's, None where it is not given: then what an
    erased user said is left to the ledger to drop. owns: the counts of one run."""

    def __init__(
        self,
        reader: Reads,
        sink: Sink,
        mappers: Mapping[str, Mapper],
        ids: Mapping[str, str],
        order: Order,
        key: bytes | None,
        tenant: str,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._sink = sink
        self._mappers = mappers
        self._ids = ids
        # Nothing is hurried: all that is needed is in hand.
        self._order = replace(order, max_bytes=sys.maxsize)
        self._key = key
        self._tenant = tenant
        self._clock = clock
        self._counts = Counter[str]()
        self._refused = Counter[str]()
        self._erased: Mapping[str, float] = {}

    def run(self, log: Log, reasons: Collection[str] = (), at: Coordinate | None = None) -> Again:
        """Of dead letters with these reasons (() for all), or of the record that lies there. Raises what the sink and
        both logs raise; what was recorded by then is known the next time."""
        self._erased = erased_until(log)
        events: list[Event] = []
        said: dict[Spot, Said] = {}
        for record in self._records(log, self._wanted(log, reasons, at)):
            spot = (record.topic, record.partition, record.offset)
            try:
                found = self._read(record)
            except Unfit:
                self._counts["unmapped"] += 1
                continue
            if found.skipped:
                self._counts["passed"] += 1
            elif found.said is not None:
                said[spot] = found.said
            else:
                self._counts["taken"] += 1
                events += found.events
                if len(events) >= _AT_ONCE:
                    # Letters of months: not all of them in memory at once.
                    self._send(events)
                    events = []
        self._send([*events, *self._among(said)])
        return Again(**self._counts, refused=dict(self._refused))

    def _wanted(self, log: Log, reasons: Collection[str], at: Coordinate | None) -> dict[Spot, _Kept]:
        out: dict[Spot, _Kept] = {}
        for record, letter in letters(log, reasons, self._tenant, at):
            assert letter.source is not None
            topic = letter.source.topic.removeprefix(THEIRS)
            spot = (topic, letter.source.partition, letter.source.offset)
            if topic == letter.source.topic or spot in out:
                continue
            if topic not in self._mappers:
                self._counts["elsewhere"] += 1
            elif letter.event_id != letter_id(self._ids[topic], *spot[1:], letter.reason):
                self._counts["anew"] += 1
            elif self._is_erased(letter.subject, letter.accepted_at):
                self._counts["erased"] += 1
            else:
                out[spot] = _Kept(record.coordinate, letter.accepted_at or 0.0)
        return out

    def _records(self, log: Log, wanted: Mapping[Spot, _Kept]) -> Iterator[Record]:
        """As they lie there; of what is no more, what the letter holds."""
        places: dict[tuple[str, int], list[int]] = defaultdict(list)
        for topic, partition, offset in sorted(wanted):
            places[topic, partition].append(offset)
        for (topic, partition), left in places.items():
            while left:
                run = self._reader.read(topic, partition, left[0], _AT_ONCE)
                there = {record.offset: record for record in run}
                reached = run[-1].offset if run else left[-1]
                for offset in [offset for offset in left if offset <= reached]:
                    record = there.get(offset) or _held(log, (topic, partition, offset), wanted)
                    if record.value:
                        yield record
                    else:
                        self._counts["gone"] += 1
                left = [offset for offset in left if offset > reached]

    def _among(self, mended: Mapping[Spot, Said]) -> list[Event]:
        """The events of messages, with what stands around them in their conversations."""
        if not mended:
            return []
        near: dict[Spot, Said] = dict(mended)
        names = {said.conversation for said in mended.values()}
        moments = [said.recorded_at for said in mended.values()]
        for record in self._around(min(moments), max(moments)):
            try:
                found = self._read(record).said
            except Unfit:
                continue
            if found is not None and found.conversation in names:
                near.setdefault((record.topic, record.partition, record.offset), found)
        answers = {said.id for said in mended.values() if said.role is Role.ASSISTANT}
        out: list[Event] = []
        for settled in self._settled(near):
            if settled.tag in mended:
                self._counts["unmapped" if settled.fault is not None else "taken"] += 1
                out += settled.events
            else:
                out += [event for event in settled.events if _follows(event, answers)]
        return out

    def _settled(self, near: Mapping[Spot, Said]) -> Iterator[Settled]:
        """In the order of their log, and settled on the way: of a long conversation the last messages alone are kept,
        and an early one would stand there without a history."""
        whole = Conversations(self._order)
        in_order = sorted(near.items(), key=lambda item: item[1].recorded_at)
        step = max(1, self._order.max_turns)
        for part in (in_order[at : at + step] for at in range(0, len(in_order), step)):
            for spot, said in part:
                whole.add(said, self._mappers[spot[0]], spot)
            yield from whole.settle(part[-1][1].recorded_at)
        yield from whole.settle(math.inf)

    def _around(self, first: float, last: float) -> Iterator[Record]:
        """Records of topics of single messages, as far back and ahead as a history reaches. first, last: seconds."""
        until = last + self._order.context_s
        for topic in (topic for topic, mapper in self._mappers.items() if mapper.map.form == "turns"):
            ends = self._reader.end_offsets(topic)
            for partition, at in self._reader.offsets_at(topic, first - self._order.context_s).items():
                while at < ends[partition] and (run := self._reader.read(topic, partition, at, _AT_ONCE)):
                    yield from (record for record in run if record.value and record.timestamp <= until)
                    at = run[-1].offset + 1
                    if min(record.timestamp for record in run) > until:
                        break

    def _read(self, record: Record) -> Found:
        return self._mappers[record.topic].read(
            parsed(record.value), place_of(record, self._ids[record.topic], self._clock.now())
        )

    def _send(self, events: Sequence[Event]) -> None:
        """Answers first, so that what was said about them finds them."""
        kept = [event for event in events if not self._says_erased(event)]
        self._counts["erased"] += len(events) - len(kept)
        for topic, kind in (("interactions", Interaction), ("feedback", Feedback)):
            mine = [event for event in kept if isinstance(event, kind)]
            for start in range(0, len(mine), _AT_ONCE):
                for outcome, reason in self._sink.record(topic, mine[start : start + _AT_ONCE]):
                    if outcome is RecordOutcome.REJECTED:
                        self._refused[reason] += 1
                    else:
                        self._counts["recorded" if outcome is RecordOutcome.RECORDED else "before"] += 1

    def _says_erased(self, event: Event) -> bool:
        if self._key is None or not event.user_id:
            return False
        return self._is_erased(subject_of(self._key, self._tenant, event.user_id), event.accepted_at)

    def _is_erased(self, subject: str, accepted_at: float | None) -> bool:
        return subject in self._erased and (accepted_at or 0.0) < self._erased[subject]


def _held(log: Log, spot: Spot, wanted: Mapping[Spot, _Kept]) -> Record:
    """A record as its dead letter holds it; without bytes where that has none, or is gone by now."""
    letter = wanted[spot]
    found = log.read(letter.at.topic, letter.at.partition, letter.at.offset, 1)
    there = found[:1] if found and found[0].offset == letter.at.offset else ()
    value = b"".join(event_of(record).value for record in there)
    return Record(*spot, b"", value, (), letter.accepted_at)


def _follows(event: Event, answers: Collection[str]) -> bool:
    return isinstance(event, Feedback) and isinstance(event.kind, FollowUp) and event.interaction_id in answers
