"""What was joined, told on the log, so that the work of reading it can be shared; and how far that work has come.

An outbox. The ledger numbers evidence in the transaction that joins it (evidence.py); its one owner appends the numbers
to the topic `evidence` and notes here up to which it has: a kill in between appends some again, under which the same
signals are made again, with the same ids. A record says tenant and number, nothing of anybody, so it may outlive an
erasure; who reads it asks the ledger for the piece.

Verdicts must know up to which number replies have been read (judged.py). A reader that asks by `ReadEvidence` says so
itself. A group's positions are with the brokers: they are held against where on the topic each batch of numbers ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from rejoinder.core.clock import Clock
from rejoinder.core.errors import Aborted, Fenced, RejoinderError, ResourceExhausted, Unavailable
from rejoinder.ledger.reading.evidence import acknowledge, numbers_after, places
from rejoinder.ledger.stores.store import Store
from rejoinder.stream.headers import record_of
from rejoinder.stream.port import Appended, NewRecord, Partition
from rejoinder.stream.topics import Topic, first_of, of_kinds

TOPIC, SIGNALS = "evidence", "signals"
#: Under which the relay keeps its own place among the readers, with a topic and its id: where one was made anew
#: everything is told again.
NAME = "relay:"
#: Readers that may be groups on the log; see signals/worker.py.
GROUPS = "signals:"
#: Numbers appended at a time.
BATCH = 1_000
#: Batches whose ends are remembered before they are thinned out, and how finely: of those n turns back, every n/FINE-th
#: stays. A group that is far behind is heard of all the same; else it would hold every verdict up.
REMEMBERED, FINE = 1_000, 32
#: Between two looks at the groups' positions: bounds how late a verdict hears that replies were read.
LOOK_S = 1.0
#: The longest wait after a refusal that does not pass by itself (a right that is missing). Each may break the log's
#: producer, and with it what else is appended here: erasures.
REFUSED_MAX_S = 60.0


class RelayLog(Protocol):
    """What the relay needs of a log that other processes read in groups."""

    @property
    def topics(self) -> Mapping[str, Topic]: ...
    def topic_id(self, topic: str) -> str: ...
    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]: ...
    def start_offsets(self, topic: str) -> Mapping[int, int]: ...
    def end_offsets(self, topic: str) -> Mapping[int, int]: ...
    def committed(self, group: str, topic: str) -> Mapping[int, int]: ...
    def written(self, topic: str, decided: bool = False) -> Mapping[int, int]: ...


@dataclass(frozen=True)
class _Batch:
    """Every number up to `number` lies before `ends` (partition → offset) on the topics. turn: of the relay, from 0."""

    turn: int
    number: int
    ends: Mapping[Partition, int]


@dataclass(frozen=True)
class _Seen:
    """Up to which number each group had read, and where the signals' partitions ended a moment later: who has read on
    to there, with every step before it decided, has all signals about those numbers."""

    places: Mapping[str, int]
    ends: Mapping[Partition, int]


class Relay:
    """owns: where batches ended, and what it saw of the groups; one thread's. Raises what log and store raise."""

    def __init__(self, store: Store, log: RelayLog, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._topics = of_kinds(log.topics, (TOPIC,))
        self._signals = of_kinds(log.topics, (SIGNALS,))
        self._names: Mapping[str, str] = {}
        self._place = 0
        self._batches: list[_Batch] = []
        self._ends: dict[Partition, int] = {}
        self._seen: _Seen | None = None
        self._look_at = clock.monotonic()

    def turn(self) -> int:
        """Tells what was joined since, and looks at the groups when it is time; answers how many numbers it told."""
        look = self._clock.monotonic() >= self._look_at
        if look:
            # Before the next look is set: without its place, nothing is told.
            self._begin({topic: f"{NAME}{topic}:{self._log.topic_id(topic)}" for topic in self._topics})
            self._look_at = self._clock.monotonic() + LOOK_S
        told = self._tell()
        if look:
            self._follow()
        return told

    def _begin(self, names: Mapping[str, str]) -> None:
        """At the start, and when a topic is another: from the place that was kept for all of them."""
        if names == self._names:
            return
        known = places(self._store)
        # A tenant's own topic that is new was told nothing yet, and needs nothing: what came before lies on the others.
        # One that was deleted may have taken with it what nobody had read.
        kept = [
            known.get(name, 0)
            for topic, name in names.items()
            if topic == TOPIC or any(_told(other, topic) for other in known)
        ]
        place = min(kept)
        # What was told before this process began lies somewhere before the present end.
        self._ends = self._all(self._log.end_offsets, self._topics) if place else {}
        self._batches = [_Batch(0, place, dict(self._ends))] if place else []
        self._seen, self._names, self._place = None, names, place

    def _all(self, ask: Callable[[str], Mapping[int, int]], topics: Sequence[str]) -> dict[Partition, int]:
        return {(topic, part): offset for topic in topics for part, offset in ask(topic).items()}

    def _tell(self) -> int:
        new = numbers_after(self._store, self._place, BATCH)
        if not new:
            return 0
        # Without identities: the log would call what is told again, on a topic that was made anew, a second copy.
        records = [replace(record_of(reference, "rejoinder/ledger"), identity=None) for reference in new]
        taken = self._log.append(records).result()
        for one in taken:
            at = one.coordinate
            where = at.topic, at.partition
            self._ends[where] = max(self._ends.get(where, 0), at.offset + 1)
        for name in self._names.values():
            acknowledge(self._store, name, new[-1].number)
        self._place = new[-1].number
        self._remember()
        return len(new)

    def _remember(self) -> None:
        """Thinned by powers of two, so that what is kept of a batch's neighbours was kept before."""
        turn = self._batches[-1].turn + 1 if self._batches else 0
        self._batches.append(_Batch(turn, self._place, dict(self._ends)))
        if len(self._batches) > REMEMBERED:
            self._batches = [b for b in self._batches if b.turn % (1 << ((turn - b.turn) // FINE).bit_length()) == 0]

    def _follow(self) -> None:
        """Acknowledges for the groups what they have read, once all signals about it can be seen.

        A step is committed before the brokers have marked it in every partition, so a position may be seen before the
        signals that go with it; a verdict that believed it would take those replies for silence.
        """
        if self._seen is None:
            behind = {n: at for n, at in places(self._store).items() if n.startswith(GROUPS) and at < self._place}
            read = {name: self._read_by(name, at) for name, at in behind.items()}
            moved = {name: place for name, place in read.items() if place > behind[name]}
            self._seen = _Seen(moved, self._all(self._log.written, self._signals)) if moved else None
        if self._seen is not None:
            decided = self._all(partial(self._log.written, decided=True), self._signals)
            # What lies in an added partition is seen once the projector's reader has heard of it.
            known = self._all(self._log.end_offsets, self._signals)
            if all(part in known and decided.get(part, 0) >= end for part, end in self._seen.ends.items()):
                for name, place in self._seen.places.items():
                    acknowledge(self._store, name, place)
                self._seen = None

    def _read_by(self, group: str, known: int) -> int:
        """The greatest number up to which a group has read everything."""
        positions = self._all(partial(self._log.committed, group), self._topics)
        if not positions:
            return known
        starts = self._all(self._log.start_offsets, self._topics)
        past = [
            batch.number
            for batch in self._batches
            if all(max(positions.get(part, 0), starts.get(part, 0)) >= end for part, end in batch.ends.items())
        ]
        return max(past, default=known)


def _told(name: str, topic: str) -> bool:
    """Whether a place is of a topic, or of one that it has taken the place of."""
    return name.startswith(NAME) and first_of(name.removeprefix(NAME).partition(":")[0]) == first_of(topic)


async def keep_relaying(
    relay: Relay, wait_s: float, stop: asyncio.Event, waiting: Callable[[RejoinderError], None]
) -> None:
    """Relays until told to stop; a log or a database that is away is waited for, another owner (Fenced) ends it.

    waiting: hears the error each time.
    """
    refused_s = wait_s
    while not stop.is_set():
        try:
            pause = 0.0 if await asyncio.to_thread(relay.turn) else wait_s
            refused_s = wait_s
        except Fenced:
            raise
        except (Unavailable, ResourceExhausted, Aborted) as error:
            waiting(error)
            pause = error.retry_after_s or refused_s
            refused_s = min(REFUSED_MAX_S, 2 * refused_s)
        try:
            await asyncio.wait_for(stop.wait(), pause) if pause else await asyncio.sleep(0)
        except TimeoutError:
            continue
