from __future__ import annotations

from rejoinder.clients import (
    AsyncRolloutClient,
    Connection,
    RolloutClient,
)
from rejoinder.clients.rollouts import Rollout, Verdict
from rejoinder.core.types import Message, Role
from rejoinder.v1 import rollouts_pb2

from tests.clients.fakes import AsyncScriptedChannel, ScriptedChannel

HERE = Connection("nowhere:1")
ASKED = (Message(Role.USER, "How warm is it?"),)


ROLLOUT = rollouts_pb2.GetRolloutResponse(
    policy="assist", generation=4, verdict=rollouts_pb2.VERDICT_WORSE, reasons=["veto:length"]
)
ROLLOUTS = {"GetRollout": ROLLOUT, "Promote": ROLLOUT, "Abort": ROLLOUT, "Freeze": ROLLOUT}
WORSE = Rollout("assist", generation=4, verdict=Verdict.WORSE, reasons=("veto:length",))


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
