"""The thin clients: each call asks the right RPC and answers in plain values."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from rejoinder.clients import (
    AsyncLedgerClient,
    AsyncPolicyClient,
    AsyncRerankClient,
    AsyncRewardClient,
    AsyncRolloutClient,
    Connection,
    LedgerClient,
    PolicyClient,
    RerankClient,
    RewardClient,
    RolloutClient,
)
from rejoinder.clients.ledger import Erased, Parity, ParityRow, SatisfactionRow, TraceNode
from rejoinder.clients.policy import Arms, End, GenerateAsk, Likelihoods, Sampled, SampledAnswer, ServedVersion, Start
from rejoinder.clients.rerank import RerankAsk, Reranked
from rejoinder.clients.reward import Compared, Head, Scores
from rejoinder.clients.rollouts import Rollout, Verdict
from rejoinder.core.types import ArmKind, AttemptStatus, Message, RankedCandidate, Role, Sampling, Served
from rejoinder.v1 import common_pb2, events_pb2, ledger_pb2, policy_pb2, rerank_pb2, reward_pb2, rollouts_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")
ASKED = (Message(Role.USER, "How warm is it?"),)

LEDGER = {
    "Trace": ledger_pb2.TraceResponse(
        nodes=[
            ledger_pb2.TraceNode(
                kind="signal", id="s", state="stored", at=Timestamp(seconds=5), facts={"reason": "r"}, sources=["f"]
            )
        ]
    ),
    "Erase": ledger_pb2.EraseResponse(ticket="t", erased_at=Timestamp(seconds=5)),
    "GetSatisfaction": ledger_pb2.GetSatisfactionResponse(
        rows=[ledger_pb2.SatisfactionRow(group="v1", sat=3, satisfaction=0.75)], join_rate=0.5, unlinked={"trimmed": 2}
    ),
    "GetParity": ledger_pb2.GetParityResponse(
        rows=[ledger_pb2.ParityRow(topic="feedback", read=2, stored=2)], parked=1
    ),
}
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
REWARD = {
    "Score": reward_pb2.ScoreResponse(scores=[0.5, -0.5], head="default"),
    "Compare": reward_pb2.CompareResponse(probability_a=0.75),
    "ListHeads": reward_pb2.ListHeadsResponse(heads=[reward_pb2.Head(name="default", default_head=True)]),
}
ROLLOUT = rollouts_pb2.GetRolloutResponse(
    policy="assist", generation=4, verdict=rollouts_pb2.VERDICT_WORSE, reasons=["veto:length"]
)
ROLLOUTS = {"GetRollout": ROLLOUT, "Promote": ROLLOUT, "Abort": ROLLOUT, "Freeze": ROLLOUT}
RERANK = {
    "Rerank": rerank_pb2.RerankResponse(
        interaction_id="i", ranked=[events_pb2.RankedCandidate(id="b", position=1, propensity=0.5)]
    )
}

PARTS = [
    Start("i", "a", Served(version="v1", arm=ArmKind.STABLE)),
    "70 ",
    "°F",
    End(AttemptStatus.COMPLETED, "stop", completion_tokens=2),
]
TRACE = [TraceNode("signal", "s", "", "stored", 5.0, {"reason": "r"}, ("f",))]
ASK = RerankAsk("shoes", (("a", "red"), ("b", "blue")), top_n=1, user_context=ASKED, temperature=0.5)
RERANKED = Reranked("i", ranked=(RankedCandidate("b", position=1, propensity=0.5),))
WORSE = Rollout("assist", generation=4, verdict=Verdict.WORSE, reasons=("veto:length",))


def test_the_ledger_is_asked_and_answers_in_plain_values() -> None:
    channel = ScriptedChannel(**LEDGER)
    client = LedgerClient(HERE, channel)
    assert client.trace("s", tenant="acme") == TRACE
    assert client.erase("u") == Erased("t", 5.0, None)
    found = client.satisfaction("version", since=1.5)
    assert (found.rows, found.join_rate, found.unlinked) == (
        (SatisfactionRow("v1", sat=3, satisfaction=0.75),),
        0.5,
        {"trimmed": 2},
    )
    assert client.parity() == Parity((ParityRow("feedback", read=2, stored=2),), parked=1)
    asked = dict(channel.asked)
    assert asked["Trace"] == ledger_pb2.TraceRequest(tenant="acme", id="s")
    assert asked["GetSatisfaction"].since.ToMilliseconds() == 1500
    assert not asked["GetSatisfaction"].HasField("until")


async def test_the_async_ledger_says_the_same() -> None:
    client = AsyncLedgerClient(HERE, AsyncScriptedChannel(**LEDGER))
    assert await client.trace("s") == TRACE
    assert (await client.erase("u")).ticket == "t"
    assert (await client.satisfaction(until=2.0)).join_rate == 0.5
    assert (await client.parity()).parked == 1


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


def test_the_reward_is_asked_and_answers_in_plain_values() -> None:
    channel = ScriptedChannel(**REWARD)
    client = RewardClient(HERE, channel)
    assert client.score(ASKED, ["70", "21 °C"]) == Scores((0.5, -0.5), "default")
    assert client.compare(ASKED, "70", "21 °C", head="default") == Compared(0.75)
    assert client.heads() == [Head("default", default_head=True)]
    assert list(channel.asked[0][1].responses) == ["70", "21 °C"]
    assert (channel.asked[1][1].a, channel.asked[1][1].b, channel.asked[1][1].head) == ("70", "21 °C", "default")


async def test_the_async_reward_says_the_same() -> None:
    client = AsyncRewardClient(HERE, AsyncScriptedChannel(**REWARD))
    assert (await client.score(ASKED, ["70"])).scores == (0.5, -0.5)
    assert (await client.compare(ASKED, "70", "21 °C")).probability_a == 0.75
    assert await client.heads() == [Head("default", default_head=True)]


def test_the_reranker_is_asked_with_an_id_made_before_the_first_try() -> None:
    channel = ScriptedChannel(**RERANK)
    assert RerankClient(HERE, channel).rerank(ASK) == RERANKED
    ((_, request),) = channel.asked
    assert len(request.interaction_id) == 36
    assert [(c.id, c.text) for c in request.candidates] == [("a", "red"), ("b", "blue")]
    assert (request.top_n, request.temperature, request.user_context[0].content) == (1, 0.5, "How warm is it?")


async def test_the_async_reranker_says_the_same() -> None:
    assert await AsyncRerankClient(HERE, AsyncScriptedChannel(**RERANK)).rerank(ASK) == RERANKED


def test_a_decision_on_a_rollout_names_the_table_it_was_made_on() -> None:
    channel = ScriptedChannel(**ROLLOUTS)
    client = RolloutClient(HERE, channel)
    assert client.get("assist") == WORSE
    assert client.promote("assist", 4) == client.abort("assist", 4) == client.freeze("assist", 4) == WORSE
    assert [name for name, _ in channel.asked] == ["GetRollout", "Promote", "Abort", "Freeze"]
    assert {request.generation for _, request in channel.asked[1:]} == {4}
    assert channel.asked[3][1].frozen


async def test_the_async_rollout_client_says_the_same() -> None:
    client = AsyncRolloutClient(HERE, AsyncScriptedChannel(**ROLLOUTS))
    answers = [await client.get("a"), await client.promote("a", 4), await client.abort("a", 4)]
    assert [*answers, await client.freeze("a", 4, frozen=False)] == [WORSE] * 4


@pytest.mark.parametrize("client", [LedgerClient, PolicyClient, RewardClient, RerankClient, RolloutClient])
def test_a_client_needs_no_network_to_be_made(client: type) -> None:
    with client(HERE):
        pass
