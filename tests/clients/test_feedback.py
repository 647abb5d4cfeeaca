from __future__ import annotations

from typing import Any

import pytest
from rejoinder.clients import AsyncFeedbackClient, Connection, FeedbackClient
from rejoinder.core.errors import LogUnavailable
from rejoinder.core.ids import uuid7_time
from rejoinder.core.types import Click, Coordinate, Feedback, FollowUp, Interaction, Message, RecordOutcome, Role
from rejoinder.v1 import error_reason_pb2, feedback_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")


def all_recorded(request: Any) -> feedback_pb2.RecordResponse:
    return feedback_pb2.RecordResponse(
        results=[
            feedback_pb2.RecordResult(event_id=e.event_id, outcome=feedback_pb2.RECORD_OUTCOME_RECORDED)
            for e in request.events
        ]
    )


def test_an_id_is_made_before_the_first_try_so_that_a_retry_is_the_same_event() -> None:
    channel = ScriptedChannel(RecordFeedback=all_recorded)
    client = FeedbackClient(HERE, channel)
    results = client.record_feedback([Feedback(kind=FollowUp("no")), Feedback(event_id="mine", kind=Click("c", 1))])
    ((_, request),) = channel.asked
    made, mine = (event.event_id for event in request.events)
    assert uuid7_time(made) is not None
    assert mine == "mine"
    assert [result.event_id for result in results] == [made, "mine"]


def test_an_outcome_comes_back_as_plain_values() -> None:
    response = feedback_pb2.RecordResponse()
    response.results.add(
        event_id="a", outcome=feedback_pb2.RECORD_OUTCOME_DUPLICATE, coordinate={"topic": "feedback", "offset": 7}
    )
    response.results.add(
        event_id="b",
        outcome=feedback_pb2.RECORD_OUTCOME_REJECTED,
        reason=error_reason_pb2.ERROR_REASON_EVENT_ID_CONFLICT,
        field="event_id",
    )
    client = FeedbackClient(HERE, ScriptedChannel(RecordFeedback=response))
    known, conflict = client.record_feedback([Feedback(), Feedback()])
    assert (known.outcome, known.recorded, known.coordinate) == (
        RecordOutcome.DUPLICATE,
        True,
        Coordinate("feedback", 0, 7),
    )
    assert (conflict.recorded, conflict.reason, conflict.field) == (False, "EVENT_ID_CONFLICT", "event_id")


@pytest.mark.parametrize(
    ("events", "sizes"),
    [
        ([Feedback(kind=Click("c", 1))] * 2500, [1000, 1000, 500]),
        ([Feedback(kind=FollowUp("x" * 3_000_000))] * 5, [2, 2, 1]),
        ([Feedback(kind=FollowUp("x" * 9_000_000))] * 2, [1, 1]),
        ([], []),
    ],
    ids=["by count", "by size", "one too large for any request goes alone", "nothing"],
)
def test_many_events_go_in_requests_that_the_server_takes(events: list[Feedback], sizes: list[int]) -> None:
    channel = ScriptedChannel(RecordFeedback=all_recorded)
    assert len(FeedbackClient(HERE, channel).record_feedback(events)) == len(events)
    assert [len(request.events) for _, request in channel.asked] == sizes


def test_an_error_is_the_callers_to_see() -> None:
    client = FeedbackClient(HERE, ScriptedChannel(RecordInteractions=LogUnavailable("away")))
    with pytest.raises(LogUnavailable):
        client.record_interactions([Interaction()])


def test_a_client_closes_its_channel() -> None:
    channel = ScriptedChannel()
    with FeedbackClient(HERE, channel):
        pass
    assert channel.asked == [("close", None)]


async def test_the_async_client_says_the_same() -> None:
    channel = AsyncScriptedChannel(RecordInteractions=all_recorded, RecordFeedback=all_recorded)
    async with AsyncFeedbackClient(HERE, channel) as client:
        (one,) = await client.record_interactions(
            [Interaction(messages=(Message(Role.USER, "Hm?"),), response="70 °F")]
        )
        (two,) = await client.record_feedback([Feedback(kind=Click("c", 1))])
    assert one.recorded
    assert two.recorded
    (_, interactions), (_, feedback), closed = channel.asked
    assert interactions.events[0].response == "70 °F"
    assert feedback.events[0].WhichOneof("kind") == "click"
    assert closed == ("close", None)
