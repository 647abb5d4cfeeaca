"""gateway/followups: the next request says what its user made of the answer before; once, and about that answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rejoinder.clients.feedback import RecordResult
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import InvalidArgument, LogUnavailable
from rejoinder.core.ids import answer_digest
from rejoinder.core.metrics import Metrics
from rejoinder.core.types import Consent, Feedback, FollowUp, Interaction, Message, RecordOutcome, Role
from rejoinder.gateway.followups import FollowUps, follow_up_of

ROLES = {"s": Role.SYSTEM, "u": Role.USER, "a": Role.ASSISTANT, "t": Role.TOOL}


def said(*turns: str, **more: object) -> Interaction:
    """turns: each `u: text`, by the role's first letter."""
    messages = tuple(Message(ROLES[turn[0]], turn[3:]) for turn in turns)
    return replace(Interaction(tenant="acme", user_id="ann", principal="chat", messages=messages), **more)  # type: ignore[arg-type]


CHAT = ("s: be kind", "u: how hot is it?", "a: 90  degrees", "u: no, in Celsius")


def found(*turns: str, now: float = 1e9, **more: object) -> Feedback:
    event = follow_up_of(said(*turns, **more), now)
    assert event is not None
    return event


def test_what_a_user_says_behind_an_answer_is_about_that_answer() -> None:
    event = found(*CHAT, consent=Consent.NO_TRAIN, source="front")
    assert event.kind == FollowUp("no, in Celsius")
    assert (event.answer_digest, event.interaction_id, event.turn) == (answer_digest("90 degrees"), "", 0)
    assert (event.tenant, event.user_id, event.principal, event.source) == ("acme", "ann", "chat", "front")
    assert (event.consent, event.accepted_at, event.occurred_at) == (Consent.NO_TRAIN, 1e9, None)
    assert found("u: a", "a: b", "t: c", "u: d", "u: e").kind == FollowUp("d\n\ne")


def test_headers_name_the_answer_more_surely_than_its_text() -> None:
    event = found(*CHAT, conversation_id="c", turn=3, parent_interaction_id="i-2")
    assert (event.conversation_id, event.turn, event.interaction_id) == ("c", 2, "i-2")
    assert found(*CHAT, turn=3).turn == 0, "a turn of no conversation is none"


@pytest.mark.parametrize(
    "turns",
    [
        ("u: hi",),
        ("s: be kind", "u: hi"),
        ("a: how can I help?", "u: hi"),
        ("u: hi", "a: hello"),
        ("u: weather?", "a: {call}", "t: sun"),
        ("u: hi", "a: hello", "u:  "),
        ("u: hi", "a:  ", "u: and?"),
    ],
)
def test_no_follow_up(turns: tuple[str, ...]) -> None:
    assert follow_up_of(said(*turns), 1e9) is None


def test_a_first_turn_has_only_examples_before_it() -> None:
    assert follow_up_of(said(*CHAT, turn=1), 1e9) is None


def test_it_counts_once_however_often_the_request_comes() -> None:
    once = found(*CHAT)
    # Tried again, answered anew, by a replica that knows nothing, under instructions that tell the time.
    assert found(*CHAT, now=1e9 + 60) == replace(once, accepted_at=1e9 + 60)
    assert found("s: it is noon", *CHAT[1:]).event_id == once.event_id
    assert found(*CHAT, interaction_id="other").event_id == once.event_id


@pytest.mark.parametrize(
    ("turns", "more"),
    [
        ((*CHAT[:3], "u: no, in Kelvin"), {}),
        ((*CHAT[:2], "a: 32 degrees", CHAT[3]), {}),
        ((*CHAT[:3], "u: thanks", "a: 90 degrees", CHAT[3]), {}),
        (CHAT, {"tenant": "beta"}),
        (CHAT, {"user_id": "bob"}),
        (CHAT, {"user_id": "", "principal": "another"}),
        (CHAT, {"conversation_id": "c"}),
        (CHAT, {"parent_interaction_id": "i"}),
        (CHAT, {"now": 1e9 + 86_400}),
    ],
)
def test_another_is_another(turns: tuple[str, ...], more: dict[str, object]) -> None:
    assert found(*turns, **more).event_id != found(*CHAT).event_id  # type: ignore[arg-type]


def test_a_conversation_with_a_name_is_the_same_tomorrow() -> None:
    today, tomorrow = (found(*CHAT, conversation_id="c", now=now).event_id for now in (1e9, 1e9 + 86_400))
    assert today == tomorrow


class FakeLog:
    """owns: what it took. fails: what it raises instead."""

    def __init__(self) -> None:
        self.taken: list[Feedback] = []
        self.requests = 0
        self.fails: Exception | None = None
        self.reason = ""

    async def record_feedback(self, events: Sequence[Feedback], deadline_s: float | None = None) -> list[RecordResult]:
        self.requests += 1
        if self.fails is not None:
            raise self.fails
        self.taken += events
        outcome = RecordOutcome.REJECTED if self.reason else RecordOutcome.RECORDED
        return [RecordResult(e.event_id, "", outcome, self.reason, "", None) for e in events]


class World:
    def __init__(self, as_callers: bool = True) -> None:
        self.log, self.metrics = FakeLog(), Metrics()
        self.follow_ups = FollowUps(self.log, ManualClock(), self.metrics, as_callers)

    def counted(self, outcome: str) -> float:
        return self.metrics.value("gateway_follow_ups_total", outcome=outcome)


async def test_they_wait_while_the_log_is_away_and_arrive_afterwards() -> None:
    world, stop = World(), asyncio.Event()
    world.log.fails = LogUnavailable("away")
    running = asyncio.create_task(world.follow_ups.run(stop))
    for number in range(3):
        world.follow_ups.heard(said(*CHAT[:3], f"u: {number}"))
    while world.log.requests < 2:
        await asyncio.sleep(0)
    world.log.fails = None
    while len(world.log.taken) < 3:
        await asyncio.sleep(0)
    stop.set()
    await running
    assert [event.kind for event in world.log.taken] == [FollowUp(str(number)) for number in range(3)]
    assert {event.principal for event in world.log.taken} == {"chat"}
    assert world.counted("RECORDED") == 3


async def test_what_is_left_at_the_end_is_counted() -> None:
    world = World()
    world.log.fails = LogUnavailable("away")
    world.follow_ups.heard(said(*CHAT))
    await world.follow_ups.flush(1.0)
    assert (world.log.requests, world.counted("DROPPED")) == (1, 1)


async def test_memory_is_bounded() -> None:
    world = World()
    world.log.fails = LogUnavailable("away")
    large = "x" * 1_000_000
    for number in range(20):
        world.follow_ups.heard(said(*CHAT[:3], f"u: {number}{large}"))
    assert world.counted("DROPPED") == 4
    world.log.fails = None
    await world.follow_ups.flush(1.0)
    assert (len(world.log.taken), world.log.requests) == (16, 16)
    world.follow_ups.heard(said(*CHAT))
    await world.follow_ups.flush(1.0)
    assert len(world.log.taken) == 17, "what was sent makes room"


async def test_a_request_that_is_refused_holds_up_nobody() -> None:
    world = World(as_callers=False)
    world.log.fails = InvalidArgument("no")
    world.follow_ups.heard(said(*CHAT))
    await world.follow_ups.flush(1.0)
    world.log.fails, world.log.reason = None, "EVENT_ID_CONFLICT"
    world.follow_ups.heard(said(*CHAT))
    await world.follow_ups.flush(1.0)
    assert (world.counted("REJECTED"), world.counted("DUPLICATE"), world.counted("DROPPED")) == (1, 1, 0)
    assert world.log.taken[0].principal == "", "the gateway's own, as the policy's record has it"
