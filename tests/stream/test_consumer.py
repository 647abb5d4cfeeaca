"""stream/consumer: the worker loop redelivers, never drops, and stops when it is asked to."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from rejoinder.core import types
from rejoinder.core.clock import ManualClock
from rejoinder.core.ending import when_told_to_end
from rejoinder.core.errors import BadEncoding, DiskFull, FailedPrecondition, Fenced, LogUnavailable
from rejoinder.core.types import Coordinate
from rejoinder.stream.consumer import Step, StopFlag, Worker, WorkerSettings
from rejoinder.stream.deadletters import DeadLetters
from rejoinder.stream.headers import event_of, record_of
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Consumer, NewRecord, Rebalanced, Record

SETTINGS = WorkerSettings("signals", ("feedback",), "m1", "signals/0", poll_s=0.0, max_records=8)


class Signaller:
    """A step: one signal per feedback event. owns: what it was given."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.batches: list[int] = []
        self.poison: dict[str, Exception] = {}
        self.takes_s = 0.0
        self.closed = False

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        events = [event_of(record) for record in records]
        for event in events:
            if event.event_id in self.poison:
                raise self.poison[event.event_id]
        self.batches.append(len(records))
        self.clock.advance(self.takes_s * len(records))
        return [signal_of(event) for event in events]

    def close(self) -> None:
        self.closed = True


class Shaky(MemoryLog):
    """A log whose steps fail as told: "before" (not taken), "after" (taken, the answer lost), "late" (it is still on
    its way, and arrives only after the worker has begun anew). owns: the failures to come and what is on its way."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.failures: list[str | Exception] = []
        self.on_its_way: list[Callable[[], object]] = []
        self.late: list[str] = []
        self.after_step: Callable[[], None] = lambda: None

    def begin_epoch(self, transactional_id: str) -> int:
        epoch = super().begin_epoch(transactional_id)
        while self.on_its_way:
            try:
                self.on_its_way.pop()()
                self.late.append("taken")
            except Fenced:
                self.late.append("fenced")
        return epoch

    def step(self, transactional_id, epoch, records, commit) -> Sequence[Coordinate]:
        take = super().step
        how = self.failures.pop(0) if self.failures else ""
        if isinstance(how, Exception):
            raise how
        if how == "late":
            self.on_its_way.append(lambda: take(transactional_id, epoch, records, commit))
        if how in ("", "after"):
            done = take(transactional_id, epoch, records, commit)
            self.after_step()
        if how:
            raise LogUnavailable("no answer")
        return done


class Calling:
    """A step that is a function."""

    def __init__(self, work: Callable[[Sequence[Record]], Sequence[NewRecord]]) -> None:
        self._work = work

    def __call__(self, records: Sequence[Record]) -> Sequence[NewRecord]:
        return self._work(records)

    def close(self) -> None: ...


def signal_of(event: types.Feedback) -> NewRecord:
    made = types.Signal(tenant=event.tenant, event_id=f"s-{event.event_id}", source_event_id=event.event_id)
    return record_of(made, "/rejoinder/signals")


class Setup:
    """owns: a log with feedback on it and a worker that reads it."""

    def __init__(self, count: int = 20, **changes: object) -> None:
        self.clock = ManualClock()
        self.log = Shaky(self.clock)
        self.stop = StopFlag()
        self.step = Signaller(self.clock)
        self.log.after_step = self.stop_when_done
        self.waits: list[float] = []
        self.ids = [f"e{i}" for i in range(count)]
        for event_id in self.ids:
            event = types.Feedback(tenant="acme", event_id=event_id, conversation_id=event_id, user_id="u")
            self.log.append([record_of(event, "/app")]).result()
        self.worker = self.another(**changes)

    def another(self, step: Step | None = None, **changes: object) -> Worker:
        dead = DeadLetters(b"key", self.clock, "/rejoinder/signals")
        settings = replace(SETTINGS, **changes)
        return Worker(self.log, step or self.step, dead, settings, self.clock, self.stop, self.waits.append)

    def stop_when_done(self) -> None:
        if len(self.lying("signals")) + len(self.lying("deadletters")) >= len(self.ids):
            self.stop.ask()

    def lying(self, topic: str) -> list[Record]:
        return [r for p in range(self.log.partitions(topic)) for r in self.log.read(topic, p, 0)]

    def signals(self) -> Counter[str]:
        return Counter(event_of(r).source_event_id for r in self.lying("signals"))


def test_every_event_makes_one_signal_and_everything_is_closed_in_the_end() -> None:
    setup = Setup()
    setup.worker.run()
    assert setup.signals() == Counter(setup.ids)
    assert setup.step.closed
    assert setup.worker.counts.read == setup.worker.counts.produced == 20
    heir = setup.log.subscribe("signals", ["feedback"], "other")
    assert len(heir.poll(0.0)) == 0
    assert len(heir.assignment()) == 4, "the worker has left the group"


@pytest.mark.parametrize("how", ["before", "after", "late"])
def test_a_step_whose_answer_is_lost_counts_once(how: str) -> None:
    """F07: taken or not, or arriving after the worker began anew: every event ends in exactly one signal."""
    setup = Setup()
    setup.log.failures = [how, "", how]
    setup.worker.run()
    assert setup.signals() == Counter(setup.ids)
    assert setup.worker.counts.retried == 2
    assert setup.log.late == (["fenced"] * 2 if how == "late" else [])


def test_the_lost_answer_would_double_without_going_back_to_the_committed_positions() -> None:
    """The control of the test above: the same failure, answered by sending the same step again."""
    setup = Setup()
    setup.log.failures = ["after"]
    transaction = setup.log.transaction("signals/0")
    consumer = setup.log.subscribe("signals", ["feedback"], "m1")
    produced = setup.step(consumer.poll(0.0))
    with pytest.raises(LogUnavailable):
        transaction.step(produced, consumer)
    transaction.step(produced, consumer)
    assert max(setup.signals().values()) == 2


def test_waits_grow_up_to_a_bound_and_then_the_worker_gives_up_with_nothing_lost() -> None:
    setup = Setup(attempts=6, backoff_s=1.0, backoff_max_s=10.0)
    setup.log.failures = [DiskFull("no room")] * 7
    with pytest.raises(DiskFull):
        setup.worker.run()
    assert setup.waits == [1, 2, 4, 8, 10, 10]
    assert setup.step.closed
    assert not setup.signals()
    setup.another().run()
    assert setup.signals() == Counter(setup.ids)


def test_poison_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    setup = Setup()
    setup.step.poison = {"e3": BadEncoding("no"), "e7": ValueError("the user said: secret words")}
    setup.worker.run()
    assert setup.signals() == Counter(set(setup.ids) - {"e3", "e7"})
    letters = [event_of(r) for r in setup.lying("deadletters")]
    where = {event_of(r).event_id: r.coordinate for r in setup.lying("feedback")}
    assert {(letter.reason, letter.source) for letter in letters} == {
        ("BAD_ENCODING", where["e3"]),
        ("INTERNAL", where["e7"]),
    }
    assert setup.worker.counts.dead_lettered == 2


def test_a_poisons_words_reach_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup()
    setup.step.poison = {"e7": ValueError("the user said: secret words")}
    setup.worker.run()
    assert "record dead-lettered" in caplog.text
    assert "secret" not in caplog.text


def test_a_dead_letter_that_cannot_be_written_stops_the_worker_in_front_of_its_record() -> None:
    setup = Setup(attempts=1)
    setup.step.poison = dict.fromkeys(setup.ids, ValueError())
    setup.log.failures = ["before"] * 2
    with pytest.raises(LogUnavailable):
        setup.worker.run()
    heir = setup.log.subscribe("signals", ["feedback"], "other")
    assert len(heir.poll(0.0)) == 20


def test_a_step_that_fails_on_everything_stops_instead_of_emptying_the_topic() -> None:
    setup = Setup(20, poison_limit=10)
    setup.step.poison = dict.fromkeys(setup.ids, ValueError("secret words"))
    with pytest.raises(FailedPrecondition) as caught:
        setup.worker.run()
    assert len(setup.lying("deadletters")) <= 10
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_records_that_a_refused_step_met_already_are_not_counted_again() -> None:
    """Else brokers that are away for a moment would end the worker as if its step were broken."""
    setup = Setup(20, poison_limit=20)
    setup.step.poison = dict.fromkeys(setup.ids, ValueError())
    setup.log.failures = ["before"] * 2
    setup.worker.run()
    assert len(setup.lying("deadletters")) == 20


def test_what_passes_by_itself_is_no_poison() -> None:
    setup = Setup()
    calls: list[int] = []

    def away_twice(records: Sequence[Record]) -> Sequence[NewRecord]:
        calls.append(len(records))
        if len(calls) <= 2:
            raise LogUnavailable("away")
        return setup.step(records)

    setup.another(Calling(away_twice)).run()
    assert setup.lying("deadletters") == []
    assert setup.signals() == Counter(setup.ids)
    assert len(setup.waits) == 2


def test_a_worker_whose_slot_was_taken_stops() -> None:
    setup = Setup()

    def overtaken(records: Sequence[Record]) -> Sequence[NewRecord]:
        setup.log.transaction("signals/0")
        return setup.step(records)

    with pytest.raises(Fenced):
        setup.another(Calling(overtaken)).run()
    assert not setup.signals()


def test_a_worker_that_lost_partitions_goes_on_from_where_the_group_stands() -> None:
    """Another member joins during the first step, works off its share and leaves: nothing is doubled or left out."""
    setup = Setup()
    theirs: list[int] = []

    def overtaken(records: Sequence[Record]) -> Sequence[NewRecord]:
        if not theirs:
            other = setup.log.subscribe("signals", ["feedback"], "other")
            share = other.poll(0.0)
            theirs.append(len(share))
            setup.log.transaction("signals/1").step([signal_of(event_of(r)) for r in share], other)
            other.close()
        return setup.step(records)

    worker = setup.another(Calling(overtaken))
    worker.run()
    assert 0 < theirs[0] < 20
    assert setup.signals() == Counter(setup.ids)
    assert worker.counts.retried == 1
    assert worker.counts.read == 20 - theirs[0]


def test_a_slow_step_gets_fewer_records_and_recovers() -> None:
    setup = Setup(60, step_limit_s=8.0, max_records=8)
    setup.step.takes_s = 1.5
    setup.worker.run()
    assert setup.step.batches[:3] == [8, 4, 4]
    assert setup.worker.counts.slow == 1
    assert setup.signals() == Counter(setup.ids)


def test_a_step_that_took_so_long_that_it_was_refused_is_begun_anew_with_fewer_records() -> None:
    """Members that do not poll for long lose their partitions: the same step would be refused for ever."""
    setup = Setup(60, step_limit_s=8.0, max_records=8)
    setup.step.takes_s = 1.5
    setup.log.failures = [Rebalanced("too late"), Rebalanced("too late")]
    setup.worker.run()
    assert setup.step.batches[:3] == [8, 4, 4]
    assert setup.signals() == Counter(setup.ids)


def test_a_signal_sets_the_flag_and_the_batch_in_hand_is_committed() -> None:
    setup = Setup()
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}

    def interrupted(records: Sequence[Record]) -> Sequence[NewRecord]:
        os.kill(os.getpid(), signal.SIGTERM)
        return setup.step(records)

    try:
        when_told_to_end(setup.stop.ask)
        setup.another(Calling(interrupted)).run()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert setup.stop.asked
    assert setup.step.batches == [8]
    assert sum(setup.signals().values()) == 8


def test_polls_that_find_nothing_do_not_hide_failures_that_do_not_pass() -> None:
    """A group whose positions the brokers do not tell looks empty until the log says so, again and again."""
    setup = Setup()
    setup.log = Mute(setup.clock)
    with pytest.raises(LogUnavailable):
        setup.another(attempts=3).run()
    assert len(setup.waits) == 3


class Mute(Shaky):
    """Its members find nothing, and at every second poll cannot even say so."""

    def subscribe(self, group: str, topics: Sequence[str], member: str) -> Consumer:
        consumer = super().subscribe(group, topics, member)
        polls = iter([(), LogUnavailable("positions")] * 10)

        def poll(timeout_s: float, max_records: int = 500) -> Sequence[Record]:
            found = next(polls)
            if isinstance(found, Exception):
                raise found
            return found

        consumer.poll = poll  # type: ignore[method-assign]
        return consumer
