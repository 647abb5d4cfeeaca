"""What each work sends is a request of its service, and a wrong answer is seen: servicers that answer at once."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from rejoinder.v1 import (
    events_pb2,
    feedback_pb2,
    feedback_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
    rerank_pb2,
    rerank_pb2_grpc,
    reward_pb2,
    reward_pb2_grpc,
)

from loadtests.openloop.generator import generate
from loadtests.openloop.scenario import Scenario
from loadtests.work.table import WORKS, Reach

pytestmark = pytest.mark.system

STEPS = {
    "reward": {"score"},
    "rerank": {"rerank"},
    "policy": {"answer"},
    "feedback": {"record"},
    "conversation": {"turn", "follow-up turn", "follow-up", "thumb"},
}
VISITS = 4


class Policy(policy_pb2_grpc.PolicyServiceServicer):
    async def Generate(self, request, context):
        assert request.messages[-1].content
        assert request.sampling.max_tokens
        yield policy_pb2.GenerateResponse(start=policy_pb2.GenerateStart(attempt_id="a"))
        yield policy_pb2.GenerateResponse(text="yes")
        status = events_pb2.ATTEMPT_STATUS_COMPLETED
        yield policy_pb2.GenerateResponse(end=policy_pb2.GenerateEnd(status=status))


class Reward(reward_pb2_grpc.RewardServiceServicer):
    async def Score(self, request, context):
        return reward_pb2.ScoreResponse(scores=[0.0 for _ in request.responses])


class Rerank(rerank_pb2_grpc.RerankServiceServicer):
    async def Rerank(self, request, context):
        return rerank_pb2.RerankResponse(ranked=[events_pb2.RankedCandidate(id=c.id) for c in request.candidates])


class Feedback(feedback_pb2_grpc.FeedbackServiceServicer):
    """owns: the kinds that came. outcome: of every event."""

    def __init__(self, outcome=feedback_pb2.RECORD_OUTCOME_RECORDED) -> None:
        self.kinds = []
        self._outcome = outcome

    async def RecordFeedback(self, request, context):
        self.kinds += [event.WhichOneof("kind") for event in request.events]
        results = [feedback_pb2.RecordResult(outcome=self._outcome) for _ in request.events]
        return feedback_pb2.RecordResponse(results=results)


async def tallies(name: str, feedback: Feedback):
    server = grpc.aio.server()
    policy_pb2_grpc.add_PolicyServiceServicer_to_server(Policy(), server)
    reward_pb2_grpc.add_RewardServiceServicer_to_server(Reward(), server)
    rerank_pb2_grpc.add_RerankServiceServicer_to_server(Rerank(), server)
    feedback_pb2_grpc.add_FeedbackServiceServicer_to_server(feedback, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    options = {"reads_s": 0.001} if name == "conversation" else {}
    scenario = Scenario(
        work=name,
        arrivals={"kind": "constant", "rate": 100.0},
        deadline_s=30.0,
        seconds=VISITS / 100,
        warm_up_s=0.0,
    )
    row = WORKS[name]
    work = row.make(row.with_params(options), Reach(dict.fromkeys(row.traits["needs"], target)), 1)
    try:
        return (await generate(work, scenario, asyncio.get_running_loop().time())).tallies
    finally:
        await work.close()
        await server.stop(0)


@pytest.mark.parametrize("name", STEPS)
async def test_every_step_of_a_work_is_answered_rightly(name):
    feedback = Feedback()
    found = await tallies(name, feedback)
    assert {step: (tally.good, tally.errors) for step, tally in found.items()} == dict.fromkeys(
        STEPS[name], (VISITS, {})
    )
    if name == "conversation":
        assert sorted(set(feedback.kinds)) == ["follow_up", "rating"]
        assert found["turn"].marks["first text"].count == VISITS


async def test_an_event_that_was_not_recorded_is_a_wrong_answer():
    found = await tallies("feedback", Feedback(feedback_pb2.RECORD_OUTCOME_REJECTED))
    assert {reason: times.count for reason, times in found["record"].errors.items()} == {"WRONG_ANSWER": VISITS}
