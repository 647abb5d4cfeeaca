from __future__ import annotations

from rejoinder.clients import (
    AsyncRewardClient,
    Connection,
    RewardClient,
)
from rejoinder.clients.reward import Compared, Head, Scores
from rejoinder.core.types import Message, Role
from rejoinder.v1 import reward_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")
ASKED = (Message(Role.USER, "How warm is it?"),)


REWARD = {
    "Score": reward_pb2.ScoreResponse(scores=[0.5, -0.5], head="default"),
    "Compare": reward_pb2.CompareResponse(probability_a=0.75),
    "ListHeads": reward_pb2.ListHeadsResponse(heads=[reward_pb2.Head(name="default", default_head=True)]),
}


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
