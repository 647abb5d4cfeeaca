"""gateway/feedback: a page rates what it was shown, a caller what it may name; each item has its outcome."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from rejoinder.clients.feedback import RecordResult
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import EmptyField, LogUnavailable, Unauthenticated
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import KINDS, Abandon, Choice, Comparison, Feedback, Rating, RecordOutcome
from rejoinder.gateway.errors import BadParameter, UnsupportedMedia
from rejoinder.gateway.feedback import Collect
from rejoinder.gateway.guard import HttpCall
from rejoinder.gateway.tokens import Tokens
from rejoinder.runtime.call import Principal
from starlette.datastructures import Headers

APP = Principal("chat", frozenset({"app"}), frozenset({"acme"}))
#: One of every kind, as a page writes it.
ALL: dict[str, Any] = {
    "follow_up": {"text": "no, in Celsius"},
    "rating": {"number": 1, "scale_max": 1},
    "comment": {"text": "good"},
    "edit": {"text": "better"},
    "comparison": {"other_interaction_id": "i-2", "choice": "CHOICE_THIS"},
    "click": {"candidate_id": "c", "position": 2},
    "copy": {"characters": 3},
    "regenerate": {"new_interaction_id": "i-9"},
    "abandon": {"after": "1.5s"},
    "outcome": {"name": "sale", "value": 9.5},
}


class FakeLog:
    """Takes everything, or nothing. owns: what it took."""

    def __init__(self) -> None:
        self.taken: list[Feedback] = []
        self.away = False

    async def record_feedback(self, events: Sequence[Feedback], deadline_s: float | None = None) -> list[RecordResult]:
        if self.away:
            raise LogUnavailable("away")
        self.taken += events
        return [RecordResult(e.event_id, e.interaction_id, RecordOutcome.RECORDED, "", "", None) for e in events]


class World:
    def __init__(self, folder: Path) -> None:
        (folder / "key").write_text("the secret of a test, long")
        self.clock, self.log = ManualClock(), FakeLog()
        self.tokens = Tokens(folder / "key", None, 60.0, self.clock, lambda error: None)
        self.collect = Collect(self.log, self.tokens, 10, self.clock, Metrics())

    def token(self, interaction: str = "i-1", user: str = "ann", attempts: tuple[str, ...] = ("a-1",)) -> str:
        return self.tokens.of("acme", user, "c-1", interaction, attempts)[0]

    async def send(
        self, said: Any, caller: Principal | None = None, media: str = "application/json"
    ) -> list[dict[str, Any]]:
        body = said if isinstance(said, bytes) else json.dumps(said).encode()
        call = HttpCall(Headers({"content-type": media}), body, {}, caller, self.clock.monotonic() + 10)
        return (await self.collect.collect(call)).content["results"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_every_kind_is_taken_about_what_was_shown(world: World) -> None:
    assert set(ALL) == set(KINDS)
    tokens = [world.token(), world.token("i-2")]
    rows = await world.send({"tokens": tokens, "events": [{"interaction_id": "i-1", k: v} for k, v in ALL.items()]})
    assert [row["outcome"] for row in rows] == ["RECORDED"] * len(ALL)
    assert [event.kind_name for event in world.log.taken] == list(ALL)
    for event in world.log.taken:
        assert (event.tenant, event.user_id, event.conversation_id, event.source) == ("acme", "ann", "c-1", "browser")
        assert (event.interaction_id, event.attempt_id) == ("i-1", "a-1")
    kinds = {event.kind_name: event.kind for event in world.log.taken}
    assert kinds["rating"] == Rating(number=1.0, scale_max=1.0)
    assert kinds["comparison"] == Comparison("i-2", "", Choice.THIS)
    assert kinds["abandon"] == Abandon(1.5)


async def test_ways_in_which_a_page_can_send_unasked(world: World) -> None:
    said = {"token": world.token(), "events": [{"copy": {}}]}
    text = json.dumps(said)
    for body, media in (
        (text.encode(), "application/json; charset=utf-8"),
        (text.encode(), "text/plain;charset=UTF-8"),
        (urlencode({"feedback": text}).encode(), "application/x-www-form-urlencoded;charset=UTF-8"),
    ):
        assert (await world.send(body, media=media))[0]["outcome"] == "RECORDED"
    assert len({event.event_id for event in world.log.taken}) == 1, "the same beacon three times"
    with pytest.raises(UnsupportedMedia):
        await world.send(text.encode(), media="multipart/form-data; boundary=x")
    with pytest.raises(BadParameter):
        await world.send(b"feedback=%7B%7D&more=1", media="application/x-www-form-urlencoded")


async def test_an_event_id_of_a_page_is_its_conversations_own(world: World) -> None:
    event = {"event_id": "1", "copy": {}}
    await world.send({"token": world.token(), "events": [event, {**event, "copy": {"characters": 2}}]})
    await world.send({"token": world.token("i-2"), "events": [event]})
    first, changed, elsewhere = (taken.event_id for taken in world.log.taken)
    assert first == changed, "another body under one id is the log's to refuse"
    assert elsewhere != first
    assert first != "1"


async def test_several_answers_need_a_name_and_several_attempts_stay_open(world: World) -> None:
    tokens = [world.token(attempts=("a-1", "a-2")), world.token("i-2")]
    rows = await world.send(
        {"tokens": tokens, "events": [{"copy": {}}, {"interaction_id": "i-1", "copy": {}},
                                      {"interaction_id": "i-1", "attempt_id": "a-2", "copy": {}}]}
    )  # fmt: skip
    assert [(row["outcome"], row.get("reason")) for row in rows] == [
        ("REJECTED", "EMPTY_FIELD"),
        ("RECORDED", None),
        ("RECORDED", None),
    ]
    assert [event.attempt_id for event in world.log.taken] == ["", "a-2"]


@pytest.mark.parametrize(
    "event",
    [
        {"interaction_id": "i-3", "copy": {}},
        {"attempt_id": "a-3", "copy": {}},
        {"comparison": {"other_interaction_id": "i-3", "choice": "CHOICE_THIS"}},
        {"comparison": {"other_interaction_id": "i-2", "other_attempt_id": "a-9", "choice": "CHOICE_TIE"}},
        {"comparison": {"other_interaction_id": "i-bob", "choice": "CHOICE_TIE"}},
    ],
)
async def test_what_was_not_shown_is_not_rated(world: World, event: dict[str, Any]) -> None:
    tokens = [world.token(), world.token("i-2"), world.token("i-bob", "bob")]
    (row,) = await world.send({"tokens": tokens, "events": [{"interaction_id": "i-1", **event}]})
    assert (row["outcome"], row["reason"]) == ("REJECTED", "FOREIGN_TARGET")
    assert world.log.taken == []


@pytest.mark.parametrize(
    "event",
    [
        7,
        {},
        {"copy": {}, "comment": {"text": "x"}},
        {"copy": 3},
        {"copy": {"characters": "many"}},
        {"event_id": 7, "copy": {}},
        {"rating": {"number": "NaN"}},
        {"occurred_at": "yesterday", "copy": {}},
        {"comparison": {"choice": "CHOICE_MAYBE"}},
        {"user_id": "bob", "copy": {}},
        {"consent": "CONSENT_TRAIN", "copy": {}},
        {"principal": "x", "copy": {}},
    ],
)
async def test_what_is_no_event_is_refused_by_itself(world: World, event: Any) -> None:
    rows = await world.send({"token": world.token(), "events": [event, {"copy": {}}]})
    assert [row["outcome"] for row in rows] == ["REJECTED", "RECORDED"]


async def test_a_caller_with_credentials_names_users_of_its_tenants(world: World) -> None:
    event = {"event_id": "e", "tenant": "acme", "user_id": "ann", "interaction_id": "i", "comment": {"text": "x"}}
    assert (await world.send({"events": [event]}, APP))[0]["outcome"] == "RECORDED"
    assert (world.log.taken[0].event_id, world.log.taken[0].user_id, world.log.taken[0].source) == ("e", "ann", "front")
    (row,) = await world.send({"events": [{**event, "tenant": "beta"}]}, APP)
    assert (row["event_id"], row["reason"]) == ("e", "FOREIGN_TENANT")


async def test_nothing_is_acknowledged_that_the_log_did_not_take(world: World) -> None:
    world.log.away = True
    with pytest.raises(LogUnavailable):
        await world.send({"token": world.token(), "events": [{"copy": {}}]})


async def test_requests_that_are_none(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await world.send({"events": [{"copy": {}}]})
    for said in ({"events": 7}, {"tokens": 7, "events": []}, {"events": [{}], "more": 1}):
        with pytest.raises(BadParameter):
            await world.send(said, APP)
    with pytest.raises(EmptyField):
        await world.send({"events": []}, APP)
