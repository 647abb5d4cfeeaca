"""observe/posted: what is made of a request, what its sender is told; a topic makes the same of the same turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import body_digest
from rejoinder.core.errors import BadEncoding, BadSettings, EmptyField, ForeignTenant, NotFound, TooLong, Unavailable
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Feedback, FollowUp, Interaction, Rating, RecordOutcome
from rejoinder.gateway.guard import Answer, HttpCall
from rejoinder.observe import posted as posting
from rejoinder.observe.events import ImportAs
from rejoinder.observe.fieldmap import FieldMap
from rejoinder.observe.mapped import Event, Mapper
from rejoinder.observe.posted import LINES, Posted, Refused, Taking
from rejoinder.observe.settings import ObserveSettings
from rejoinder.runtime.call import Principal
from starlette.datastructures import Headers

from tests.observe.test_observer import Member, observer, record

ASKED = [{"role": "user", "content": "How warm is it?"}]
NAMED = {"x-rejoinder-tenant": "default"}
HISTORY = [*ASKED, {"role": "assistant", "content": "68 F"}, {"role": "user", "content": "in Celsius please"}]


class Log:
    """Knows what it has, as ingest does. away: raised once by each call that it names."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.away: list[str] = []

    async def record(self, events: Sequence[Event], deadline_s: float) -> list[tuple[RecordOutcome, str, str]]:
        kind = type(events[0]).__name__
        if kind in self.away:
            self.away.remove(kind)
            raise Unavailable("as a test wants it", retry_after_s=2.0)
        return [self._one(event) for event in events]

    def _one(self, event: Event) -> tuple[RecordOutcome, str, str]:
        known = self.events.setdefault(event.event_id, event)
        if known is event:
            return RecordOutcome.RECORDED, "", ""
        if body_digest(known) == body_digest(event):
            return RecordOutcome.DUPLICATE, "", ""
        return RecordOutcome.REJECTED, "EVENT_ID_CONFLICT", "event_id"


def posted(log: Log, of: Mapping[str, Any] = {"preset": "openai"}) -> Posted:
    mapper = Mapper(FieldMap(dict(of)), ImportAs(source="observe:chat"))
    return Posted(Taking(log, ManualClock(0.0), Metrics()), {"chat": mapper}, "chat", "default", 10)


def call(body: Any, media: str = "application/json", **more: Any) -> HttpCall:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    caller = Principal("shop", frozenset({"app"}), frozenset({"default"}))
    headers = {"content-type": media, **more.pop("headers", {})}
    return HttpCall(Headers(headers), data, more.pop("path", {}), caller, 60.0)


def turn(name: str, messages: Sequence[Any], answer: str, **more: Any) -> dict[str, Any]:
    said = {"id": name, "conversation_id": "c", "user": "u", "model": "m", "created": 1_700_000_000}
    return {**said, "messages": list(messages), "answer": answer, **more}


def rows(answer: Answer) -> list[dict[str, Any]]:
    return list(answer.content["results"])


async def test_a_turn_is_an_answer_and_the_follow_up_of_the_one_before_it_under_the_callers_name() -> None:
    log = Log()
    first = await posted(log).turns(call(turn("r1", ASKED, "68 F")))
    second = await posted(log).turns(call({"turns": [turn("r2", HISTORY, "20 C")]}))
    assert [*rows(first), *rows(second)] == [{"interaction_id": name, "outcome": "RECORDED"} for name in ("r1", "r2")]
    answers = [event for event in log.events.values() if isinstance(event, Interaction)]
    assert [(a.interaction_id, a.response, a.user_id, a.principal, a.tenant) for a in answers] == [
        ("r1", "68 F", "u", "shop", "default"),
        ("r2", "20 C", "u", "shop", "default"),
    ]
    (said,) = [event for event in log.events.values() if isinstance(event, Feedback)]
    assert said.kind == FollowUp("in Celsius please")


async def test_a_topic_makes_the_same_events_of_the_same_turns() -> None:
    """An application that changes from one way to the other doubles nothing."""
    turns = [turn("r1", ASKED, "68 F"), turn("r2", HISTORY, "20 C")]
    log = Log()
    await posted(log).turns(call({"turns": turns}))
    made, sink = observer(Member([record(n, one) for n, one in enumerate(turns)]), ManualClock(1.7e9), of="openai")
    for _ in range(2):
        made.turn()
    assert len(log.events) == 3
    assert {e.event_id: body_digest(e) for e in sink.events} == {n: body_digest(e) for n, e in log.events.items()}


async def test_tried_again_it_counts_once_with_an_id_or_without() -> None:
    log = Log()
    nameless = {"messages": ASKED, "answer": "68 F"}
    for _ in range(2):
        told = [rows(await posted(log).turns(call(one)))[0]["outcome"] for one in (turn("r1", ASKED, "68 F"), nameless)]
    assert told == ["DUPLICATE", "DUPLICATE"]
    assert len(log.events) == 2


async def test_what_the_log_took_in_part_is_whole_after_the_next_try() -> None:
    log = Log()
    log.away = ["Feedback"]
    with pytest.raises(Unavailable) as raised:
        await posted(log).turns(call(turn("r2", HISTORY, "20 C")))
    assert raised.value.retry_after_s == 2.0
    assert [type(event) for event in log.events.values()] == [Interaction]
    assert rows(await posted(log).turns(call(turn("r2", HISTORY, "20 C"))))[0]["outcome"] == "DUPLICATE"
    assert [type(event) for event in log.events.values()] == [Interaction, Feedback]


async def test_of_several_each_has_its_outcome_and_one_alone_has_a_status() -> None:
    log = Log()
    lines = b'{"id": "r1"}\nno JSON\n{"n": NaN}\n' + json.dumps(turn("r1", ASKED, "68 F")).encode() + b"\n\n"
    told = rows(await posted(log).turns(call(lines, LINES)))
    assert [(row["outcome"], row.get("reason"), row.get("field")) for row in told] == [
        ("REJECTED", "EMPTY_FIELD", "messages"),
        ("REJECTED", "UNREADABLE", ""),
        ("REJECTED", "UNREADABLE", ""),
        ("RECORDED", None, None),
    ]
    with pytest.raises(Refused) as raised:
        await posted(log).turns(call({"id": "r1"}))
    assert (raised.value.reason, raised.value.metadata["field"]) == ("EMPTY_FIELD", "messages")
    with pytest.raises(Refused, match="the turn was not taken") as raised:
        await posted(log).turns(call(turn("r1", ASKED, "another answer under the same id")))
    assert raised.value.reason == "EVENT_ID_CONFLICT"


async def test_a_follow_up_that_two_histories_hold_is_no_fault_of_the_second() -> None:
    log = Log()
    told = [
        rows(await posted(log).turns(call(turn(name, HISTORY, text, created=at))))[0]["outcome"]
        for name, text, at in (("r2", "20 C", 1_700_000_000), ("r3", "20 degrees", 1_700_000_009))
    ]
    assert told == ["RECORDED", "RECORDED"]


async def test_a_reaction_by_a_map_is_told_what_became_of_it_itself() -> None:
    log = Log()
    of = {
        "form": "reaction",
        "id": "id",
        "interaction": "about",
        "answer": "answer",
        "user": "user",
        "at": "at",
        "reactions": [{"kind": "rating", "number": "stars", "scale": [1, 5]}],
    }
    said = {"id": "s1", "about": "r1", "answer": "68 F", "user": "u", "at": 1_700_000_000, "stars": 1}
    bodies = [said, said, {**said, "stars": 5}]
    told = [rows(await posted(log, of).turns(call({"turns": [one]})))[0] for one in bodies]
    assert [(one["outcome"], one.get("reason", "")) for one in told] == [
        ("RECORDED", ""),
        ("DUPLICATE", ""),
        ("REJECTED", "EVENT_ID_CONFLICT"),
    ]


async def test_reactions_are_as_a_gateway_takes_them_and_without_an_id_the_body_is_it() -> None:
    log = Log()
    liked = {"interaction_id": "r1", "rating": {"number": 1, "scale_max": 1}}
    for _ in range(2):
        told = rows(await posted(log).reactions(call({"events": [liked, {"said": "x"}]})))
    assert [row["outcome"] for row in told] == ["DUPLICATE", "REJECTED"]
    (event,) = log.events.values()
    assert isinstance(event, Feedback)
    assert isinstance(event.kind, Rating)
    assert (event.interaction_id, event.source, event.tenant) == ("r1", "observe", "default")


async def test_a_tenant_that_is_named_and_foreign_is_refused_though_it_is_the_usual_one() -> None:
    theirs = Principal("shop", frozenset({"app"}), frozenset({"a"}))
    of = posted(Log())
    unnamed, named = call(turn("r1", ASKED, "68 F")), call(turn("r1", ASKED, "68 F"), headers=NAMED)
    assert rows(await of.turns(replace(unnamed, caller=theirs)))[0]["outcome"] == "RECORDED"
    with pytest.raises(ForeignTenant):
        await of.turns(replace(named, caller=theirs))


async def test_what_is_no_request_is_refused_before_anything_is_sent() -> None:
    log = Log()
    for request, error in (
        (call({"turns": []}), EmptyField),
        (call({"turns": [{}] * 11}), TooLong),
        (call(b"[1]"), BadEncoding),
        (call(b"[" * 100_000), BadEncoding),
        (call(b'{"a": NaN}'), BadEncoding),
        (call({}, path={"source": "other"}), NotFound),
        (call({}, headers={"x-rejoinder-tenant": "acme"}), ForeignTenant),
    ):
        with pytest.raises(error):
            await posted(log).turns(request)
    assert not log.events


async def test_lines_are_counted_before_one_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    monkeypatch.setattr(posting, "json_of", parsed.append)
    with pytest.raises(TooLong, match="turns is 11 items, the limit is 10"):
        await posted(Log()).turns(call(b"{}\n" * 11, LINES))
    with pytest.raises(EmptyField):
        await posted(Log()).turns(call(b"\n \n", LINES))
    assert not parsed


async def test_others_are_served_while_a_large_body_is_parsed() -> None:
    large = turn("r1", [{"role": "user", "content": "x" * 300_000}], "68 F")
    for handle, request in (
        (posted(Log()).turns, call(large)),
        (posted(Log()).turns, call(json.dumps(large).encode(), LINES)),
        (posted(Log()).reactions, call({"events": [large]})),
    ):
        other = asyncio.ensure_future(asyncio.sleep(0))
        await handle(request)
        assert other.done()


def test_settings_that_read_nothing_or_cannot_be_acknowledged_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing is read"):
        ObserveSettings()
    of = ObserveSettings.model_validate({"http": {"port": 0, "sources": [{"name": "shop", "map": {"preset": "flat"}}]}})
    with pytest.raises(BadSettings, match=r"http.sources.0.map.form: turns needs a log"):
        of.posted()
    of = ObserveSettings.model_validate({"http": {"port": 0, "sources": [{"name": "shop"}]}})
    assert {name: mapper.source for name, mapper in of.posted().items()} == {
        "turns": "observe:turns",
        "shop": "observe:shop",
    }
