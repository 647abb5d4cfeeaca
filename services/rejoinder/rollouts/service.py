"""RolloutService: decode, call, encode; and the loop that looks again and again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rejoinder.core.codec import to_proto
from rejoinder.core.errors import (
    PASSING,
    BadSettings,
    EmptyField,
    Fenced,
    NotFound,
    RejoinderError,
)
from rejoinder.core.metrics import Metrics
from rejoinder.rollouts.engine import Engine
from rejoinder.rollouts.report import report
from rejoinder.runtime.call import Call
from rejoinder.runtime.logging import EventLog
from rejoinder.v1 import rollouts_pb2, rollouts_pb2_grpc

#: What passes by itself, or is another engine's business: nothing is decided, and the lease is left to lapse.
NOT_OURS = (*PASSING, Fenced)


class RolloutService(rollouts_pb2_grpc.RolloutServiceServicer):
    """owns: nothing. policy: the one that the engine rolls out."""

    def __init__(self, engine: Engine, policy: str) -> None:
        self._engine = engine
        self._policy = policy

    async def GetRollout(self, request: rollouts_pb2.GetRolloutRequest, call: Call) -> rollouts_pb2.GetRolloutResponse:
        return await self._told(request.policy)

    async def GetTrail(self, request: rollouts_pb2.GetTrailRequest, call: Call) -> rollouts_pb2.GetTrailResponse:
        self._check(request.policy)
        points = await asyncio.to_thread(self._engine.trail)
        return rollouts_pb2.GetTrailResponse(points=[to_proto(each, rollouts_pb2.TrailPoint()) for each in points])

    async def Start(self, request: rollouts_pb2.StartRequest, call: Call) -> rollouts_pb2.GetRolloutResponse:
        self._check(request.policy)
        if not request.version:
            raise EmptyField("version")
        await asyncio.to_thread(self._engine.start, request.version, _plan(request.plan))
        return await self._told(request.policy)

    async def Promote(self, request: rollouts_pb2.PromoteRequest, call: Call) -> rollouts_pb2.GetRolloutResponse:
        self._check(request.policy)
        await asyncio.to_thread(self._engine.command, "promote", request.generation, call.principal)
        return await self._told(request.policy)

    async def Abort(self, request: rollouts_pb2.AbortRequest, call: Call) -> rollouts_pb2.GetRolloutResponse:
        self._check(request.policy)
        await asyncio.to_thread(self._engine.command, "abort", request.generation, call.principal)
        return await self._told(request.policy)

    async def Freeze(self, request: rollouts_pb2.FreezeRequest, call: Call) -> rollouts_pb2.GetRolloutResponse:
        self._check(request.policy)
        await asyncio.to_thread(self._engine.freeze, request.generation, request.frozen)
        return await self._told(request.policy)

    async def _told(self, policy: str) -> rollouts_pb2.GetRolloutResponse:
        self._check(policy)
        seen = await asyncio.to_thread(self._engine.seen)
        return to_proto(report(seen), rollouts_pb2.GetRolloutResponse())

    def _check(self, policy: str) -> None:
        if policy != self._policy:
            raise NotFound("this engine rolls out another policy", policy=policy, known=self._policy)


def _plan(text: str) -> Mapping[str, Any] | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise BadSettings("plan is no JSON") from None
    if not isinstance(value, dict):
        raise BadSettings("plan must be a JSON object")
    return value


async def follow(engine: Engine, poll_s: float, metrics: Metrics, events: EventLog, stop: asyncio.Event) -> None:
    """Looks until told to stop. What is away is waited for, and told once."""
    said = ""
    while not stop.is_set():
        try:
            row = await asyncio.to_thread(engine.tick)
            metrics["rollout_looks_total"].labels(row).inc()
            said = ""
        except NOT_OURS as error:
            said = _tell(error, said, events)
            metrics["rollout_skipped_total"].labels(error.reason).inc()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), poll_s)


def _tell(error: RejoinderError, said: str, events: EventLog) -> str:
    if error.reason != said:
        events.warning("rollout_not_decided", reason=error.reason)
    return error.reason
