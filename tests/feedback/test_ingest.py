from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import EmptyField, LogUnavailable, TooLong, UnknownEnum
from rejoinder.core.ids import uuid7_time
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Click, Feedback, Interaction, Message, RecordOutcome, Role
from rejoinder.feedback.ingest import Event, Ingest, ItemResult
from rejoinder.feedback.settings import LimitSettings
from rejoinder.runtime.call import Call, Principal
from rejoinder.stream.headers import event_of, parsed
from rejoinder.stream.memory import MemoryLog
from rejoinder.stream.port import Appended, NewRecord

DAY = 86_400.0
APP = Call("m", Principal("chat", frozenset({"app"})), traceparent=f"00-{'a' * 32}-{'b' * 16}-01")
OURS = Call("m", Principal("policy", frozenset({"app", "internal"})))
ASKED = Interaction(messages=(Message(Role.USER, "How warm is it?"),), response="70 °F")


class Bench:
    """Ingest over a log in memory with one partition. owns: both, and the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = MemoryLog(self.clock, partitions=1)
        self.metrics = Metrics()
        self.ingest = Ingest(self.log, LimitSettings(max_items=3), 40 * DAY, self.clock, self.metrics)

    async def record(self, *events: Event, call: Call = APP) -> list[ItemResult]:
        topic = "interactions" if isinstance(events[0], Interaction) else "feedback"
        return await self.ingest.record(topic, [(event.event_id, event) for event in events], call)

    def stored(self, topic: str) -> list[Event]:
        return [event_of(record) for record in self.log.read(topic, 0, 0)]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def click(event_id: str = "", **fields: object) -> Feedback:
    return Feedback(event_id=event_id, interaction_id="i", kind=Click("c", 1), **fields)


async def test_an_event_without_an_id_gets_one_of_its_time(bench: Bench) -> None:
    one, two = await bench.record(click(), click())
    assert one.event_id != two.event_id
    assert uuid7_time(one.event_id) == pytest.approx(bench.clock.now(), abs=0.001)
    assert [event.event_id for event in bench.stored("feedback")] == [one.event_id, two.event_id]


async def test_an_interactions_own_ids_follow_from_its_event_id_so_a_retry_is_the_same_event(bench: Bench) -> None:
    event = replace(ASKED, event_id="e1")
    first, again = await bench.record(event), await bench.record(event)
    assert (first[0].outcome, again[0].outcome) == (RecordOutcome.RECORDED, RecordOutcome.DUPLICATE)
    assert first[0].interaction_id == again[0].interaction_id == "e1"
    assert [(e.interaction_id, e.attempt_id) for e in bench.stored("interactions")] == [("e1", "e1")]


async def test_outcomes_stand_in_the_order_of_the_items_whatever_became_of_each(bench: Bench) -> None:
    results = await bench.ingest.record(
        "feedback", [("a", click("a")), ("b", UnknownEnum("consent", 99)), ("c", Feedback(event_id="c"))], APP
    )
    assert [(r.event_id, r.outcome.value, r.reason, r.field) for r in results] == [
        ("a", "RECORDED", "", ""),
        ("b", "REJECTED", "UNKNOWN_ENUM", "consent"),
        ("c", "REJECTED", "EMPTY_FIELD", "kind"),
    ]
    assert bench.metrics.value("ingest_items_total", topic="feedback", outcome="REJECTED") == 2
    assert bench.metrics.value("ingest_rejected_total", topic="feedback", reason="EMPTY_FIELD") == 1


async def test_a_request_of_faulty_items_alone_writes_nothing(bench: Bench) -> None:
    assert (await bench.record(Feedback()))[0].reason == "EMPTY_FIELD"
    assert bench.log.end_offsets("feedback") == {0: 0}


async def test_a_request_without_items_or_with_too_many_is_refused_whole(bench: Bench) -> None:
    with pytest.raises(EmptyField):
        await bench.ingest.record("feedback", [], APP)
    with pytest.raises(TooLong):
        await bench.record(*[click()] * 4)
    assert bench.log.end_offsets("feedback") == {0: 0}


async def test_when_and_by_whom_it_was_taken_is_ours_to_say(bench: Bench) -> None:
    await bench.record(click(accepted_at=bench.clock.now() - DAY, principal="admin"))
    (event,) = bench.stored("feedback")
    assert (event.accepted_at, event.principal, event.tenant) == (bench.clock.now(), "chat", "default")


async def test_one_of_our_services_has_said_it_where_it_took_the_event(bench: Bench) -> None:
    then = bench.clock.now() - DAY
    await bench.record(click(accepted_at=then, principal="chat"), call=OURS)
    await bench.record(click(accepted_at=bench.clock.now() + 60), call=OURS)
    kept, ahead = bench.stored("feedback")
    assert (kept.accepted_at, kept.principal) == (then, "chat")
    assert (ahead.accepted_at, ahead.principal) == (bench.clock.now(), "policy")


@pytest.mark.parametrize(("age", "outcome"), [(39 * DAY + 1, "REJECTED"), (39 * DAY - 1, "RECORDED")])
async def test_what_is_older_than_the_dedupe_time_less_a_day_has_expired(
    bench: Bench, age: float, outcome: str
) -> None:
    (result,) = await bench.record(click(accepted_at=bench.clock.now() - age), call=OURS)
    assert result.outcome == outcome
    assert result.reason == ("EXPIRED" if outcome == "REJECTED" else "")


async def test_another_body_under_one_id_is_a_conflict_even_inside_one_request(bench: Bench) -> None:
    results = await bench.record(click("a"), click("a"), click("a", user_id="u"))
    assert [(r.outcome.value, r.reason) for r in results] == [
        ("RECORDED", ""),
        ("DUPLICATE", ""),
        ("REJECTED", "EVENT_ID_CONFLICT"),
    ]
    assert len(bench.stored("feedback")) == 1


async def test_a_record_carries_source_and_trace(bench: Bench) -> None:
    await bench.record(click("a"))
    envelope = parsed(bench.log.read("feedback", 0, 0)[0].headers)
    assert (envelope.source, envelope.id, envelope.traceparent) == ("rejoinder/feedback", "a", APP.traceparent)


class Slow:
    """A log whose future resolves when the test says so."""

    def __init__(self) -> None:
        self.future: Future[Sequence[Appended]] = Future()

    def append(self, records: Sequence[NewRecord]) -> Future[Sequence[Appended]]:
        return self.future


async def test_a_caller_who_leaves_does_not_cancel_the_commit_that_others_share(bench: Bench) -> None:
    slow = Slow()
    ingest = Ingest(slow, LimitSettings(), 40 * DAY, bench.clock, Metrics())
    asking = asyncio.create_task(ingest.record("feedback", [("a", click("a"))], APP))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not slow.future.cancelled()
    slow.future.set_exception(LogUnavailable("away"))
    await asyncio.sleep(0)


async def test_nothing_is_acknowledged_when_the_log_did_not_take_it(bench: Bench) -> None:
    bench.log.close()
    with pytest.raises(LogUnavailable):
        await bench.record(click("a"))
    assert bench.metrics.value("ingest_items_total", topic="feedback", outcome="RECORDED") == 0
