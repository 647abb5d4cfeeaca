"""What is rolled out, why, and a person's decisions about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from google.protobuf.message import Message as ProtoMessage

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.v1 import rollouts_pb2

_GET = Rpc("/rejoinder.v1.RolloutService/GetRollout", rollouts_pb2.GetRolloutResponse)
_TRAIL = Rpc("/rejoinder.v1.RolloutService/GetTrail", rollouts_pb2.GetTrailResponse)
_START = Rpc("/rejoinder.v1.RolloutService/Start", rollouts_pb2.GetRolloutResponse)
_PROMOTE = Rpc("/rejoinder.v1.RolloutService/Promote", rollouts_pb2.GetRolloutResponse)
_ABORT = Rpc("/rejoinder.v1.RolloutService/Abort", rollouts_pb2.GetRolloutResponse)
_FREEZE = Rpc("/rejoinder.v1.RolloutService/Freeze", rollouts_pb2.GetRolloutResponse)

#: What a rollout is held by where a person's signature is waited for: promote gives it.
SIGNED = ("approval", "shadow_unmeasured")


class Verdict(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    INCONCLUSIVE = "INCONCLUSIVE"
    UNMEASURED = "UNMEASURED"


@dataclass(frozen=True)
class ArmFigures:
    """One arm: units, those judged, their mean satisfaction, the reply rate, and the mean silence allows at worst."""

    units: int = 0
    judged: int = 0
    mean: float = 0.0
    reply_rate: float = 0.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Hop:
    """Units that came through one hop, those of the canary and how many the weights make expected, the greatest E-value
    (1,000 suspends)."""

    units: int = 0
    canary: int = 0
    expected_canary: float = 0.0
    e: float = 0.0


@dataclass(frozen=True)
class VetoArm:
    """Units on which a veto was measured, their mean harm, and what of the audit's sample has no reading."""

    units: int = 0
    harm: float = 0.0
    unread: int = 0


@dataclass(frozen=True)
class VetoFigures:
    """One veto: its greatest E-value and what it fires at; while it is not measured nothing is promoted."""

    name: str = ""
    e: float = 0.0
    e_needed: float = 0.0
    fired: bool = False
    measured: bool = False
    stable: VetoArm | None = None
    canary: VetoArm | None = None


@dataclass(frozen=True)
class NormFigures:
    """One norm of the charter: answers of each arm to which it applied, and that broke it."""

    id: str = ""
    severity: str = ""
    stable_applied: int = 0
    stable_broken: int = 0
    canary_applied: int = 0
    canary_broken: int = 0


@dataclass(frozen=True)
class ShadowVeto:
    """One veto on pairs of answers that nobody saw: its greatest E-value and what it fires at, the pairs on which it
    was measured, in how many of them stable's and the canary's answer did harm, and whether they are enough."""

    name: str = ""
    e: float = 0.0
    e_needed: float = 0.0
    fired: bool = False
    pairs: int = 0
    stable: int = 0
    canary: int = 0
    measured: bool = False


@dataclass(frozen=True)
class Shadow:
    """The shadow phase. began_at, ends_at: seconds since the epoch; ends_at None where its time is over. dropped: draws
    that made no pair. tokens: mean length of either answer, 0 without any."""

    began_at: float | None = None
    ends_at: float | None = None
    pairs: int = 0
    min_pairs: int = 0
    vetoes: tuple[ShadowVeto, ...] = ()
    dropped: int = 0
    stable_tokens: float = 0.0
    canary_tokens: float = 0.0


@dataclass(frozen=True)
class Rollout:
    """As rollouts.proto has it. difference: satisfaction canary - stable. expected_at: seconds since the epoch.
    e_worse, e_better, e_ni: E-values, each decides at e_needed; 0 before exposure."""

    policy: str = ""
    term: int = 0
    generation: int = 0
    phase: str = ""
    stable_version: str = ""
    canary_version: str = ""
    weight: float = 0.0
    verdict: Verdict = Verdict.UNSPECIFIED
    reasons: tuple[str, ...] = ()
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    judged_canary: int = 0
    judged_stable: int = 0
    judged_needed: int = 0
    expected_at: float | None = None
    held: str = ""
    reason: str = ""
    stable: ArmFigures | None = None
    canary: ArmFigures | None = None
    step: int = 0
    e_worse: float = 0.0
    e_better: float = 0.0
    e_ni: float = 0.0
    e_needed: float = 0.0
    assigned: Hop | None = None
    matured: Hop | None = None
    vetoes: tuple[VetoFigures, ...] = ()
    charter: str = ""
    charter_version: str = ""
    norms: tuple[NormFigures, ...] = ()
    shadow: Shadow | None = None


@dataclass(frozen=True)
class TrailPoint:
    """A verdict at one moment. at: seconds since the epoch. difference: satisfaction canary - stable."""

    at: float | None = None
    weight: float = 0.0
    verdict: Verdict = Verdict.UNSPECIFIED
    difference: float = 0.0
    low: float = 0.0
    high: float = 0.0
    judged_canary: int = 0
    judged_stable: int = 0


class RolloutClient(SyncClient):
    """`generation` names the table a decision was made on: with another one in force the call raises Aborted."""

    def get(self, policy: str) -> Rollout:
        """What is served and how its rollout stands. Raises NotFound."""
        return self._ask(_GET, rollouts_pb2.GetRolloutRequest(policy=policy))

    def trail(self, policy: str) -> tuple[TrailPoint, ...]:
        """How the verdict came about, oldest first. Raises NotFound."""
        return _trail(self._channel.call(_TRAIL, rollouts_pb2.GetTrailRequest(policy=policy)))

    def start(self, policy: str, version: str, plan: str = "") -> Rollout:
        """Begins a rollout. plan: a JSON object of what differs from the engine's own.

        Raises NotFound, BadSettings, FailedPrecondition.
        """
        return self._ask(_START, rollouts_pb2.StartRequest(policy=policy, version=version, plan=plan))

    def promote(self, policy: str, generation: int) -> Rollout:
        """Gives the signature that is waited for, else promotes whatever the verdict is. Raises Aborted,
        FailedPrecondition. Role: admin."""
        return self._ask(_PROMOTE, rollouts_pb2.PromoteRequest(policy=policy, generation=generation))

    def abort(self, policy: str, generation: int) -> Rollout:
        """Back to stable, for good. Raises Aborted. Role: admin."""
        return self._ask(_ABORT, rollouts_pb2.AbortRequest(policy=policy, generation=generation))

    def freeze(self, policy: str, generation: int, frozen: bool = True) -> Rollout:
        """Stops learning and rolling out, or lets them go on; serving goes on. Raises Aborted. Role: admin."""
        return self._ask(_FREEZE, rollouts_pb2.FreezeRequest(policy=policy, generation=generation, frozen=frozen))

    def _ask(self, rpc: Rpc, request: ProtoMessage) -> Rollout:
        return codec.from_proto(self._channel.call(rpc, request), Rollout)


class AsyncRolloutClient(AsyncClient):
    """As RolloutClient."""

    async def get(self, policy: str) -> Rollout:
        return await self._ask(_GET, rollouts_pb2.GetRolloutRequest(policy=policy))

    async def trail(self, policy: str) -> tuple[TrailPoint, ...]:
        return _trail(await self._channel.call(_TRAIL, rollouts_pb2.GetTrailRequest(policy=policy)))

    async def start(self, policy: str, version: str, plan: str = "") -> Rollout:
        return await self._ask(_START, rollouts_pb2.StartRequest(policy=policy, version=version, plan=plan))

    async def promote(self, policy: str, generation: int) -> Rollout:
        return await self._ask(_PROMOTE, rollouts_pb2.PromoteRequest(policy=policy, generation=generation))

    async def abort(self, policy: str, generation: int) -> Rollout:
        return await self._ask(_ABORT, rollouts_pb2.AbortRequest(policy=policy, generation=generation))

    async def freeze(self, policy: str, generation: int, frozen: bool = True) -> Rollout:
        return await self._ask(_FREEZE, rollouts_pb2.FreezeRequest(policy=policy, generation=generation, frozen=frozen))

    async def _ask(self, rpc: Rpc, request: ProtoMessage) -> Rollout:
        return codec.from_proto(await self._channel.call(rpc, request), Rollout)


def _trail(response: rollouts_pb2.GetTrailResponse) -> tuple[TrailPoint, ...]:
    return tuple(codec.from_proto(point, TrailPoint) for point in response.points)
