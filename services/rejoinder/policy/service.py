"""PolicyService: decode, call, encode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rejoinder.core.charter import MOST_NORMS, compiled
from rejoinder.core.codec import from_proto, to_proto
from rejoinder.core.errors import InvalidArgument, RoleMissing, TooLong
from rejoinder.core.shadow import Order
from rejoinder.core.types import Interaction, Message, Sampling, Served
from rejoinder.policy.attempt import Started
from rejoinder.policy.checks import check_policy
from rejoinder.policy.generator import Ask, Ended, Generator
from rejoinder.policy.shadow import Shadow
from rejoinder.policy.versions import Versions
from rejoinder.rollout.counter import AssignmentCounter
from rejoinder.rollout.lease import ArmsView
from rejoinder.runtime.arms.listed import listed
from rejoinder.runtime.call import Call
from rejoinder.v1 import events_pb2, policy_pb2, policy_pb2_grpc

MAX_SAMPLES = 64
MAX_CONTINUATIONS = 256


class PolicyService(policy_pb2_grpc.PolicyServiceServicer):
    """owns: nothing."""

    def __init__(
        self, generator: Generator, view: ArmsView, versions: Versions, assignments: AssignmentCounter, shadow: Shadow
    ) -> None:
        self._generator = generator
        self._view = view
        self._versions = versions
        self._assignments = assignments
        self._shadow = shadow

    async def Generate(
        self, request: policy_pb2.GenerateRequest, call: Call
    ) -> AsyncIterator[policy_pb2.GenerateResponse]:
        check_policy(request.policy, self._view.table.policy)
        if (request.unlogged or request.HasField("served")) and "internal" not in call.roles:
            raise RoleMissing("forcing an arm and leaving the log out need the role internal")
        ask = Ask(
            _interaction(request, call),
            from_proto(request.served, Served) if request.HasField("served") else None,
            request.unlogged,
            call.deadline,
        )
        async for part in self._generator.generate(ask):
            yield _response(part)

    async def Sample(self, request: policy_pb2.SampleRequest, call: Call) -> policy_pb2.SampleResponse:
        check_policy(request.policy, self._view.table.policy)
        if not 1 <= request.n <= MAX_SAMPLES:
            raise InvalidArgument(f"n must be from 1 to {MAX_SAMPLES}", field="n", value=request.n)
        version, answers = await self._generator.sample(
            _messages(request.messages), _sampling(request), request.n, request.version, call.deadline
        )
        return policy_pb2.SampleResponse(
            answers=[
                policy_pb2.SampledAnswer(
                    text=a.text, log_prob=a.log_prob, tokens=len(a.tokens), finish_reason=a.finish_reason
                )
                for a in answers
            ],
            version=version.version,
            digest=version.digest,
        )

    async def Likelihood(self, request: policy_pb2.LikelihoodRequest, call: Call) -> policy_pb2.LikelihoodResponse:
        check_policy(request.policy, self._view.table.policy)
        if len(request.continuations) > MAX_CONTINUATIONS:
            raise InvalidArgument(f"at most {MAX_CONTINUATIONS} continuations", field="continuations")
        version, log_probs, tokens = await self._generator.likelihood(
            _messages(request.messages), list(request.continuations), request.version, call.deadline
        )
        return policy_pb2.LikelihoodResponse(
            log_probs=log_probs, tokens=tokens, version=version.version, digest=version.digest
        )

    async def ListArms(self, request: policy_pb2.ListArmsRequest, call: Call) -> policy_pb2.ListArmsResponse:
        check_policy(request.policy, self._view.table.policy)
        return listed(self._view, self._versions.all, self._versions.loaded, self._assignments.drawn(), shadows=True)

    async def Shadow(self, request: policy_pb2.ShadowRequest, call: Call) -> policy_pb2.ShadowResponse:
        check_policy(request.policy, self._view.table.policy)
        if len(request.norms) > MOST_NORMS:
            raise TooLong("norms", len(request.norms), MOST_NORMS, "norms")
        self._shadow.order(await asyncio.to_thread(_order, request))
        return _scored(self._shadow)


def _order(request: policy_pb2.ShadowRequest) -> Order:
    """Raises BadSettings for a norm that cannot be kept; made once, and told for as long as the order is repeated."""
    order = from_proto(request, Order)
    compiled(order.norms)
    return order


def _scored(shadow: Shadow) -> policy_pb2.ShadowResponse:
    scored = shadow.scored
    return policy_pb2.ShadowResponse(
        epoch=scored.epoch,
        salt=scored.salt,
        pairs=scored.pairs,
        vetoes=[policy_pb2.ShadowCount(**vars(count)) for count in scored.vetoes],
        dropped=[policy_pb2.ShadowDropped(cause=cause, count=count) for cause, count in shadow.dropped.items()],
        shown_tokens=scored.shown_tokens,
        candidate_tokens=scored.candidate_tokens,
    )


def _messages(messages: object) -> tuple[Message, ...]:
    return tuple(from_proto(m, Message) for m in messages)  # type: ignore[attr-defined]


def _sampling(request: object) -> Sampling | None:
    return from_proto(request.sampling, Sampling) if request.HasField("sampling") else None  # type: ignore[attr-defined]


def _interaction(request: policy_pb2.GenerateRequest, call: Call) -> Interaction:
    """The part of the interaction that the caller says; the generator fills the rest."""
    said = events_pb2.Interaction(
        tenant=request.tenant,
        interaction_id=request.interaction_id,
        conversation_id=request.conversation_id,
        parent_interaction_id=request.parent_interaction_id,
        turn=request.turn,
        user_id=request.user_id,
        messages=request.messages,
        consent=request.consent,
        principal=call.principal,
    )
    if request.HasField("conversation_started_at"):
        said.conversation_started_at.CopyFrom(request.conversation_started_at)
    if request.HasField("sampling"):
        said.sampling.CopyFrom(request.sampling)
    return from_proto(said, Interaction)


def _response(part: Started | str | Ended) -> policy_pb2.GenerateResponse:
    if isinstance(part, str):
        return policy_pb2.GenerateResponse(text=part)
    if isinstance(part, Started):
        start = policy_pb2.GenerateStart(
            interaction_id=part.interaction_id, attempt_id=part.attempt_id, served=to_proto(part.served)
        )
        return policy_pb2.GenerateResponse(start=start)
    end = policy_pb2.GenerateEnd(
        status=events_pb2.AttemptStatus.Value(f"ATTEMPT_STATUS_{part.status.value}"),
        finish_reason=part.answer.finish_reason,
        prompt_tokens=part.answer.prompt_tokens,
        completion_tokens=len(part.answer.tokens),
        log_prob=part.answer.log_prob,
    )
    return policy_pb2.GenerateResponse(end=end)
