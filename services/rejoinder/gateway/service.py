"""PolicyService as far as a gateway is one: it draws arms for an OpenAI-compatible server, and says so to the rollout
engine. Answers go over HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NoReturn

from rejoinder.core.errors import FailedPrecondition, NotFound
from rejoinder.gateway.arms import Known
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.arms.listed import listed
from rejoinder.runtime.call import Call
from rejoinder.v1 import policy_pb2, policy_pb2_grpc


class ArmsService(policy_pb2_grpc.PolicyServiceServicer):
    """owns: nothing."""

    def __init__(self, view: ArmsView, known: Known, assignments: AssignmentCounter) -> None:
        self._view = view
        self._known = known
        self._assignments = assignments

    async def Generate(
        self, request: policy_pb2.GenerateRequest, call: Call
    ) -> AsyncIterator[policy_pb2.GenerateResponse]:
        _elsewhere()
        yield policy_pb2.GenerateResponse()

    async def Sample(self, request: policy_pb2.SampleRequest, call: Call) -> policy_pb2.SampleResponse:
        _elsewhere()

    async def Likelihood(self, request: policy_pb2.LikelihoodRequest, call: Call) -> policy_pb2.LikelihoodResponse:
        _elsewhere()

    async def ListArms(self, request: policy_pb2.ListArmsRequest, call: Call) -> policy_pb2.ListArmsResponse:
        policy = self._view.table.policy
        if request.policy not in ("", policy):
            raise NotFound("this process serves another policy", serves=policy)
        return listed(self._view, self._known.all, self._known.loaded, self._assignments.drawn())

    async def Shadow(self, request: policy_pb2.ShadowRequest, call: Call) -> policy_pb2.ShadowResponse:
        raise FailedPrecondition("a second answer of the other server would stand in the way of those that are shown")


def _elsewhere() -> NoReturn:
    raise FailedPrecondition("a gateway answers over HTTP, and only what applications may ask")
