from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from rejoinder.clients import (
    AsyncLedgerClient,
    Connection,
    LedgerClient,
)
from rejoinder.clients.ledger import Erased, Parity, ParityRow, SatisfactionRow, TraceNode
from rejoinder.core.types import Message, Role
from rejoinder.v1 import ledger_pb2

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
TRACE = [TraceNode("signal", "s", "", "stored", 5.0, {"reason": "r"}, ("f",))]


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
