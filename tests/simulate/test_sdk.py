"""simulate/sdk: people reach the product through its public clients, and note what it has acknowledged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from rejoinder.clients.channel import Rpc
from rejoinder.clients.connection import Connection
from rejoinder.clients.feedback import AsyncFeedbackClient
from rejoinder.clients.policy import AsyncPolicyClient
from rejoinder.core.errors import FailedPrecondition, Unavailable
from rejoinder.core.types import Message, Role
from rejoinder.simulate.driver import Answer, Ask, Say
from rejoinder.simulate.recorder import Recorder, read
from rejoinder.simulate.sdk import Booth, Sdk, messages
from rejoinder.v1 import common_pb2, error_reason_pb2, events_pb2, feedback_pb2, policy_pb2

from tests.clients.fakes import AsyncScriptedChannel

HERE = Connection("nowhere:1")
TURNS = (("user", "How warm is it?"), ("assistant", "70 °F"), ("user", "Celsius for me."))
ASK = Ask("i2", "c", 5.0, "i1", 1, "person-7", TURNS, 9.0)
SAID = Say("f", "i2", "a2", "c", 1, "person-7", "Celsius for me.", 12.0)
PARTS = [
    policy_pb2.GenerateResponse(
        start=policy_pb2.GenerateStart(
            interaction_id="i2",
            attempt_id="a2",
            served=common_pb2.Served(version="assist-r0001", arm="ARM_KIND_CANARY"),
        )
    ),
    policy_pb2.GenerateResponse(text="21 "),
    policy_pb2.GenerateResponse(text="°C"),
    policy_pb2.GenerateResponse(end=policy_pb2.GenerateEnd(status=events_pb2.ATTEMPT_STATUS_COMPLETED)),
]
ID_CONFLICT = error_reason_pb2.ERROR_REASON_EVENT_ID_CONFLICT


def broken_off(request: Any) -> Iterator[policy_pb2.GenerateResponse]:
    yield from PARTS[:2]
    raise Unavailable("away")


def outcome(value: Any, **fault: Any) -> Any:
    def answer(request: Any) -> feedback_pb2.RecordResponse:
        (event,) = request.events
        return feedback_pb2.RecordResponse(
            results=[feedback_pb2.RecordResult(event_id=event.event_id, outcome=value, **fault)]
        )

    return answer


class Desk:
    """A person's side of a scripted product. owns: the recorder's file and both channels."""

    def __init__(self, folder: Path, **answers: Any) -> None:
        self.path = folder / "acknowledged.txt"
        self.channel = AsyncScriptedChannel(
            **{"Generate": PARTS, "RecordFeedback": outcome(feedback_pb2.RECORD_OUTCOME_RECORDED), **answers}
        )
        self.recorder = Recorder(self.path)
        policy, feedback = AsyncPolicyClient(HERE, self.channel), AsyncFeedbackClient(HERE, self.channel)
        self.sdk = Sdk(policy, feedback, self.recorder, "assist")

    def noted(self) -> tuple[set[str], set[str]]:
        self.recorder.close()
        return read(self.path)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.recorder.close()


async def test_an_ask_carries_its_own_ids_and_whole_history_and_the_answer_says_who_made_it(desk: Desk) -> None:
    assert await desk.sdk.chat(ASK) == Answer("21 °C", "a2", "assist-r0001", "CANARY")
    ((_, request),) = desk.channel.asked
    assert (request.policy, request.interaction_id, request.conversation_id) == ("assist", "i2", "c")
    assert (request.parent_interaction_id, request.turn, request.user_id) == ("i1", 1, "person-7")
    assert [m.content for m in request.messages] == [text for _, text in TURNS]
    assert desk.noted() == ({"i2"}, {"i2"})


async def test_a_conversation_began_when_its_first_turn_was_sent_whatever_the_plan_says(desk: Desk) -> None:
    before = time.time()
    await desk.sdk.chat(ASK)
    await desk.sdk.chat(Ask("i3", "c", 5.0, "i2", 2, "person-7", TURNS, 99.0))
    await desk.sdk.chat(Ask("j1", "other", 5.0, "", 0, "person-8", TURNS[:1], 99.0))
    began = [r.conversation_started_at.ToNanoseconds() for _, r in desk.channel.asked]
    assert began[0] == began[1] < began[2]
    assert before <= began[0] / 1e9 + 1e-3


async def test_an_answer_that_breaks_off_is_in_doubt_and_not_acknowledged(tmp_path: Path) -> None:
    """F06: what was never acknowledged may be stored at most once; it is not counted as lost."""
    desk = Desk(tmp_path, Generate=broken_off)
    with pytest.raises(Unavailable):
        await desk.sdk.chat(ASK)
    assert desk.noted() == (set(), {"i2"})


@pytest.mark.parametrize("value", [feedback_pb2.RECORD_OUTCOME_RECORDED, feedback_pb2.RECORD_OUTCOME_DUPLICATE])
async def test_a_follow_up_names_answer_and_attempt_and_is_acknowledged_once_the_log_has_it(
    value: Any, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, RecordFeedback=outcome(value))
    await desk.sdk.feedback(SAID)
    ((_, request),) = desk.channel.asked
    (event,) = request.events
    assert (event.event_id, event.interaction_id, event.attempt_id) == ("f", "i2", "a2")
    assert (event.conversation_id, event.user_id, event.follow_up.text) == ("c", "person-7", "Celsius for me.")
    assert desk.noted() == ({"f"}, {"f"})


async def test_a_refused_follow_up_is_an_error_without_the_persons_words_and_not_acknowledged(tmp_path: Path) -> None:
    refused = outcome(feedback_pb2.RECORD_OUTCOME_REJECTED, reason=ID_CONFLICT, field="event_id")
    desk = Desk(tmp_path, RecordFeedback=refused)
    with pytest.raises(FailedPrecondition, match="EVENT_ID_CONFLICT") as found:
        await desk.sdk.feedback(SAID)
    assert "Celsius" not in f"{found.value} {found.value.metadata}"
    assert desk.noted() == (set(), {"f"})


async def test_a_log_that_is_away_leaves_the_follow_up_in_doubt(tmp_path: Path) -> None:
    desk = Desk(tmp_path, RecordFeedback=Unavailable("away"))
    with pytest.raises(Unavailable):
        await desk.sdk.feedback(SAID)
    assert desk.noted() == (set(), {"f"})


class Sampling:
    """A policy that answers with what it was asked, the last asked first. owns: what was asked, the high-water mark."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.now = self.most = 0

    async def call(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> policy_pb2.SampleResponse:
        self.asked.append(request)
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20 - len(self.asked) % 20):
            await asyncio.sleep(0)
        self.now -= 1
        text = f"{request.messages[-1].content} {request.sampling.seed}"
        return policy_pb2.SampleResponse(answers=[policy_pb2.SampledAnswer(text=text)])

    async def stream(self, rpc: Rpc, request: Any, deadline_s: float | None = None) -> AsyncIterator[Any]:
        raise AssertionError("a panel is never served: it would leave events")
        yield

    async def close(self) -> None:
        pass


async def test_a_booth_asks_one_version_with_the_given_seeds_and_keeps_the_order() -> None:
    channel = Sampling()
    booth = Booth(AsyncPolicyClient(HERE, channel), "assist", at_once=4)
    prompts = [(("user", f"q{i}"),) for i in range(30)]
    answers = await booth.answers(prompts, range(100, 130), "assist-r0002")
    assert answers == [f"q{i} {100 + i}" for i in range(30)]
    assert {(r.policy, r.version, r.n, r.sampling.temperature) for r in channel.asked} == {
        ("assist", "assist-r0002", 1, 1.0)
    }
    assert 1 < channel.most <= 4


def test_turns_become_messages_of_their_roles() -> None:
    assert messages(TURNS) == (
        Message(Role.USER, "How warm is it?"),
        Message(Role.ASSISTANT, "70 °F"),
        Message(Role.USER, "Celsius for me."),
    )
