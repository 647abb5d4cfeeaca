"""policy/service: what ListArms says is what a client of the SDK reads, and a rollout engine counts with."""

from __future__ import annotations

import pytest
from rejoinder.clients import Connection, PolicyClient
from rejoinder.clients.policy import Arms, AssignmentCount, Shadowed
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.charter import Rule
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import from_proto
from rejoinder.core.errors import TooLong
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind
from rejoinder.policy.service import PolicyService
from rejoinder.policy.shadow import Shadow
from rejoinder.rollout.assignment import Assignment
from rejoinder.rollout.counter import AssignmentCounter, Drawn
from rejoinder.rollout.lease import ArmsView
from rejoinder.rollouts.replicas import Replicas
from rejoinder.runtime.call import Call
from rejoinder.v1 import ledger_pb2, policy_pb2

STABLE, CANARY = Version("r41", "d41"), Version("r42", "d42")


class Loaded:
    """Versions that are all there."""

    def __init__(self) -> None:
        self.loaded = {"d41", "d42"}
        self.all = (STABLE, CANARY)


def counted(counter: AssignmentCounter, unit: str, arm: ArmKind, weight: float) -> None:
    counter.add("salt", Assignment(arm, "", "", unit, weight, 0.0, weight))


async def test_the_counts_of_a_replica_reach_the_engine_as_they_are() -> None:
    clock, counter = ManualClock(), AssignmentCounter("epoch")
    now = clock.now()
    table = ArmsTable(
        "assist", 3, 7, stable=STABLE, canary=CANARY, steps=(Step(0.2, now),), lease=Lease(30.0, now, now + 30.0)
    )
    for i in range(9):
        counted(counter, f"u{i}", ArmKind.CANARY if i < 2 else ArmKind.STABLE, 0.2)
    counted(counter, "u9", ArmKind.STABLE, 0.05)
    service = PolicyService(object(), ArmsView(table, clock), Loaded(), counter, None)  # type: ignore[arg-type]
    said = await service.ListArms(policy_pb2.ListArmsRequest(policy="assist"), Call.local())
    arms = from_proto(said, Arms)
    assert (arms.term, arms.generation, arms.epoch, arms.salt) == (3, 7, "epoch", "salt")
    assert AssignmentCount(ArmKind.CANARY, 0.2, 2) in arms.assignments

    class Replica:
        def arms(self, policy: str = "") -> Arms:
            return arms

    (seen,) = Replicas({"a": Replica()}, "assist", lambda *said: None).look()  # type: ignore[dict-item]
    assert seen.drawn == counter.drawn() == Drawn("epoch", "salt", ((0.2, 9, 2), (0.05, 1, 0)))
    assert seen.serves == (("r41", "d41"), ("r42", "d42"))


async def test_an_order_reaches_the_replica_as_it_was_told_and_its_counts_come_back() -> None:
    order = Order("salt", 0.25, "conversation", "r41", "r42", "d42", True, (Rule(forbid="umbrella"),), 30.0)
    sent: list[policy_pb2.ShadowRequest] = []

    class Wire:
        def call(self, rpc: object, request: policy_pb2.ShadowRequest, deadline_s: object = None) -> object:
            sent.append(request)
            return policy_pb2.ShadowResponse(epoch="life", salt="salt")

    assert PolicyClient(Connection("nowhere:1"), Wire()).shadow(order, "assist") == Shadowed("life", "salt")  # type: ignore[arg-type]
    clock = ManualClock()
    shadow = Shadow(object(), object(), clock, object(), "life", 2, 60.0)  # type: ignore[arg-type]
    service = PolicyService(
        object(), ArmsView(ArmsTable("assist", stable=STABLE), clock), Loaded(), AssignmentCounter("e"), shadow
    )  # type: ignore[arg-type]
    told = await service.Shadow(sent[0], Call.local())
    assert shadow._order == order
    assert (told.epoch, told.salt, told.pairs) == ("life.1", "salt", 0)
    sent[0].norms.extend([ledger_pb2.NormRule(forbid="x")] * 64)
    with pytest.raises(TooLong):
        await service.Shadow(sent[0], Call.local())
