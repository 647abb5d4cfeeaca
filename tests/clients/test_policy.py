from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing

from rejoinder.clients import (
    AsyncPolicyClient,
    Connection,
    PolicyClient,
)
from rejoinder.clients.channel import Rpc
from rejoinder.clients.policy import Arms, End, GenerateAsk, Likelihoods, Sampled, SampledAnswer, ServedVersion, Start
from rejoinder.core.types import ArmKind, AttemptStatus, Message, Role, Sampling, Served
from rejoinder.v1 import common_pb2, events_pb2, policy_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")
ASKED = (Message(Role.USER, "How warm is it?"),)


POLICY = {
    "Generate": [
        policy_pb2.GenerateResponse(
            start=policy_pb2.GenerateStart(
                interaction_id="i", attempt_id="a", served=common_pb2.Served(version="v1", arm="ARM_KIND_STABLE")
            )
        ),
        policy_pb2.GenerateResponse(text="70 "),
        policy_pb2.GenerateResponse(text="°F"),
        policy_pb2.GenerateResponse(
            end=policy_pb2.GenerateEnd(
                status=events_pb2.ATTEMPT_STATUS_COMPLETED, finish_reason="stop", completion_tokens=2
            )
        ),
    ],
    "Sample": policy_pb2.SampleResponse(answers=[policy_pb2.SampledAnswer(text="70", tokens=1)], version="v1"),
    "Likelihood": policy_pb2.LikelihoodResponse(log_probs=[-1.5, -2.5], tokens=[1, 2], digest="d"),
    "ListArms": policy_pb2.ListArmsResponse(
        policy="assist", versions=[policy_pb2.ServedVersion(version="v1", arm="ARM_KIND_CANARY", ready=True)]
    ),
}
PARTS = [
    Start("i", "a", Served(version="v1", arm=ArmKind.STABLE)),
    "70 ",
    "°F",
    End(AttemptStatus.COMPLETED, "stop", completion_tokens=2),
]


def test_the_policy_is_asked_and_answers_part_by_part() -> None:
    channel = ScriptedChannel(**POLICY)
    client = PolicyClient(HERE, channel)
    ask = GenerateAsk(ASKED, policy="assist", turn=2, served=Served(version="v1"), conversation_started_at=1.5)
    assert list(client.generate(ask)) == PARTS
    assert client.sample(ASKED, 1, Sampling(temperature=0.7)) == Sampled((SampledAnswer("70", tokens=1),), "v1")
    assert client.likelihood(ASKED, ["70", "21 °C"]) == Likelihoods((-1.5, -2.5), (1, 2), "", "d")
    assert client.arms("assist") == Arms("assist", versions=(ServedVersion("v1", arm=ArmKind.CANARY, ready=True),))
    asked = dict(channel.asked)
    assert (asked["Generate"].turn, asked["Generate"].served.version) == (2, "v1")
    assert asked["Generate"].messages[0].content == "How warm is it?"
    assert asked["Generate"].conversation_started_at.ToMilliseconds() == 1500
    assert asked["Sample"].sampling.temperature == 0.7
    assert list(asked["Likelihood"].continuations) == ["70", "21 °C"]


async def test_the_async_policy_says_the_same() -> None:
    client = AsyncPolicyClient(HERE, AsyncScriptedChannel(**POLICY))
    assert [part async for part in client.generate(GenerateAsk(ASKED))] == PARTS
    assert (await client.sample(ASKED, 1, Sampling())).version == "v1"
    assert (await client.likelihood(ASKED, ["70"])).tokens == (1, 2)
    assert (await client.arms()).policy == "assist"


class EndlessChannel:
    """Text without end. owns: whether its stream was closed."""

    closed = False

    def stream(self, rpc: Rpc, request: object, deadline_s: float | None = None) -> Iterator[object]:
        try:
            while True:
                yield policy_pb2.GenerateResponse(text="more ")
        finally:
            self.closed = True


class AsyncEndlessChannel(EndlessChannel):
    async def stream(self, rpc: Rpc, request: object, deadline_s: float | None = None) -> AsyncIterator[object]:
        try:
            while True:
                yield policy_pb2.GenerateResponse(text="more ")
        finally:
            self.closed = True


def test_an_answer_that_is_closed_ends_its_call_at_once() -> None:
    channel = EndlessChannel()
    parts = PolicyClient(HERE, channel).generate(GenerateAsk(ASKED))
    with closing(parts):
        assert next(parts) == "more "
        assert not channel.closed
    # While `parts` is held: it is the closing that ends the call, not what collects garbage.
    assert channel.closed


async def test_an_answer_that_is_closed_on_the_loop_ends_its_call_at_once() -> None:
    channel = AsyncEndlessChannel()
    parts = AsyncPolicyClient(HERE, channel).generate(GenerateAsk(ASKED))
    async with aclosing(parts):
        assert await anext(parts) == "more "
        assert not channel.closed
    assert channel.closed
