"""policy/service: what ListArms says is what a client of the SDK reads, and a rollout engine counts with."""

from __future__ import annotations

from rejoinder.clients.policy import Arms, AssignmentCount
from rejoinder.core.arms import ArmsTable, Lease, Step, Version
from rejoinder.core.clock import ManualClock
from rejoinder.core.codec import from_proto
from rejoinder.core.types import ArmKind
from rejoinder.policy.service import PolicyService
from rejoinder.rollout.assignment import Assignment
from rejoinder.rollout.counter import AssignmentCounter, Drawn
from rejoinder.rollout.lease import ArmsView
from rejoinder.rollouts.replicas import Replicas
from rejoinder.runtime.call import Call
from rejoinder.v1 import policy_pb2

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
