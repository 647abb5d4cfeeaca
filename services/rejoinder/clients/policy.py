"""Answers from the policy: streamed to users, sampled and measured for rounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass

from rejoinder.clients.base import AsyncClient, SyncClient
from rejoinder.clients.channel import Rpc
from rejoinder.core import codec
from rejoinder.core.shadow import Order
from rejoinder.core.types import ArmKind, AttemptStatus, Consent, Message, Sampling, Served
from rejoinder.v1 import policy_pb2

_GENERATE = Rpc("/rejoinder.v1.PolicyService/Generate", policy_pb2.GenerateResponse, idempotent=False)
_SAMPLE = Rpc("/rejoinder.v1.PolicyService/Sample", policy_pb2.SampleResponse)
_LIKELIHOOD = Rpc("/rejoinder.v1.PolicyService/Likelihood", policy_pb2.LikelihoodResponse)
_SHADOW = Rpc("/rejoinder.v1.PolicyService/Shadow", policy_pb2.ShadowResponse)
_ARMS = Rpc("/rejoinder.v1.PolicyService/ListArms", policy_pb2.ListArmsResponse)


@dataclass(frozen=True)
class GenerateAsk:
    """What Generate is asked, as policy.proto has it. conversation_started_at: seconds since the epoch."""

    messages: tuple[Message, ...]
    tenant: str = ""
    policy: str = ""
    interaction_id: str = ""
    conversation_id: str = ""
    conversation_started_at: float | None = None
    parent_interaction_id: str = ""
    turn: int = 0
    user_id: str = ""
    sampling: Sampling | None = None
    consent: Consent = Consent.UNSPECIFIED
    served: Served | None = None
    unlogged: bool = False


@dataclass(frozen=True)
class Start:
    """The first part: which answer this is and who serves it."""

    interaction_id: str = ""
    attempt_id: str = ""
    served: Served | None = None


@dataclass(frozen=True)
class End:
    """The last part. log_prob: nats, sum over the answer's tokens."""

    status: AttemptStatus = AttemptStatus.UNSPECIFIED
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    log_prob: float = 0.0


#: A part of an answer: its start, some of its text, its end.
Part = Start | str | End


@dataclass(frozen=True)
class SampledAnswer:
    """log_prob: nats, sum over its tokens."""

    text: str = ""
    log_prob: float = 0.0
    tokens: int = 0
    finish_reason: str = ""


@dataclass(frozen=True)
class Sampled:
    """Answers of one version, named with the digest of its weights."""

    answers: tuple[SampledAnswer, ...] = ()
    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class Likelihoods:
    """log_probs: nats, summed over a continuation's tokens, end of turn included."""

    log_probs: tuple[float, ...] = ()
    tokens: tuple[int, ...] = ()
    version: str = ""
    digest: str = ""


@dataclass(frozen=True)
class ServedVersion:
    """A version that a replica knows. ready: its weights are loaded."""

    version: str = ""
    digest: str = ""
    arm: ArmKind = ArmKind.UNSPECIFIED
    ready: bool = False


@dataclass(frozen=True)
class AssignmentCount:
    """Units that a process drew for one arm while the canary had this weight."""

    arm: ArmKind = ArmKind.UNSPECIFIED
    weight: float = 0.0
    units: int = 0


@dataclass(frozen=True)
class Arms:
    """canary_refused: why this replica serves no canary, "" when it does. epoch: names its process; salt: of the
    rollout that assignments are of. shadows: whether it can answer again in a shadow phase."""

    policy: str = ""
    term: int = 0
    generation: int = 0
    versions: tuple[ServedVersion, ...] = ()
    canary_refused: str = ""
    epoch: str = ""
    salt: str = ""
    assignments: tuple[AssignmentCount, ...] = ()
    shadows: bool = False


@dataclass(frozen=True)
class ShadowCount:
    """Pairs of one veto, and in how many which answer did harm: what was shown alone, the candidate alone, both."""

    veto: str = ""
    pairs: int = 0
    shown: int = 0
    candidate: int = 0
    both: int = 0


@dataclass(frozen=True)
class ShadowDropped:
    """Answers that were drawn and made no pair, by cause."""

    cause: str = ""
    count: int = 0


@dataclass(frozen=True)
class Shadowed:
    """What one process has scored of a rollout's shadow phase, in totals. epoch: names the process; tokens: written in
    all pairs."""

    epoch: str = ""
    salt: str = ""
    pairs: int = 0
    vetoes: tuple[ShadowCount, ...] = ()
    dropped: tuple[ShadowDropped, ...] = ()
    shown_tokens: int = 0
    candidate_tokens: int = 0


class PolicyClient(SyncClient):
    """Asks the policy for answers. An answer is tried again only as long as none of it has come."""

    def generate(self, ask: GenerateAsk, deadline_s: float | None = None) -> Generator[Part, None, None]:
        """A Start, text as it is made, an End. Closing the generator (`contextlib.closing`) cancels the answer."""
        request = codec.to_proto(ask, policy_pb2.GenerateRequest())
        return _parts(self._channel.stream(_GENERATE, request, deadline_s))

    def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Sampled:
        """n answers with log-probabilities; logged nowhere. Role: internal."""
        request = _sample(messages, n, sampling, policy, version)
        return codec.from_proto(self._channel.call(_SAMPLE, request, deadline_s), Sampled)

    def likelihood(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Likelihoods:
        """Log-probabilities of assistant continuations of one context. Role: internal."""
        request = _likelihood(messages, continuations, policy, version)
        return codec.from_proto(self._channel.call(_LIKELIHOOD, request, deadline_s), Likelihoods)

    def arms(self, policy: str = "") -> Arms:
        """Whom one replica serves, and what it drew. Role: internal or admin."""
        return codec.from_proto(self._channel.call(_ARMS, policy_pb2.ListArmsRequest(policy=policy)), Arms)

    def shadow(self, order: Order, policy: str = "") -> Shadowed:
        """Tells one replica what to answer again unseen, and what it has scored so far.
        Role: internal. Raises FailedPrecondition, BadSettings."""
        return codec.from_proto(self._channel.call(_SHADOW, _shadow(order, policy)), Shadowed)


class AsyncPolicyClient(AsyncClient):
    """As PolicyClient."""

    async def generate(self, ask: GenerateAsk, deadline_s: float | None = None) -> AsyncGenerator[Part, None]:
        """As PolicyClient.generate, closed by `contextlib.aclosing` or by the task's cancellation: leaving a loop alone
        closes no asynchronous generator."""
        request = codec.to_proto(ask, policy_pb2.GenerateRequest())
        async with aclosing(self._channel.stream(_GENERATE, request, deadline_s)) as messages:
            async for message in messages:
                yield _part(message)

    async def sample(
        self,
        messages: Sequence[Message],
        n: int,
        sampling: Sampling,
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Sampled:
        request = _sample(messages, n, sampling, policy, version)
        return codec.from_proto(await self._channel.call(_SAMPLE, request, deadline_s), Sampled)

    async def likelihood(
        self,
        messages: Sequence[Message],
        continuations: Sequence[str],
        policy: str = "",
        version: str = "",
        deadline_s: float | None = None,
    ) -> Likelihoods:
        request = _likelihood(messages, continuations, policy, version)
        return codec.from_proto(await self._channel.call(_LIKELIHOOD, request, deadline_s), Likelihoods)

    async def arms(self, policy: str = "") -> Arms:
        return codec.from_proto(await self._channel.call(_ARMS, policy_pb2.ListArmsRequest(policy=policy)), Arms)

    async def shadow(self, order: Order, policy: str = "") -> Shadowed:
        return codec.from_proto(await self._channel.call(_SHADOW, _shadow(order, policy)), Shadowed)


def _parts(messages: Generator[policy_pb2.GenerateResponse, None, None]) -> Generator[Part, None, None]:
    with closing(messages):
        for message in messages:
            yield _part(message)


def _part(message: policy_pb2.GenerateResponse) -> Part:
    match message.WhichOneof("part"):
        case "start":
            return codec.from_proto(message.start, Start)
        case "end":
            return codec.from_proto(message.end, End)
    return message.text


def _sample(
    messages: Sequence[Message], n: int, sampling: Sampling, policy: str, version: str
) -> policy_pb2.SampleRequest:
    return policy_pb2.SampleRequest(
        policy=policy,
        version=version,
        messages=[codec.to_proto(m) for m in messages],
        sampling=codec.to_proto(sampling),
        n=n,
    )


def _shadow(order: Order, policy: str) -> policy_pb2.ShadowRequest:
    request: policy_pb2.ShadowRequest = codec.to_proto(order, policy_pb2.ShadowRequest())
    request.policy = policy
    return request


def _likelihood(
    messages: Sequence[Message], continuations: Sequence[str], policy: str, version: str
) -> policy_pb2.LikelihoodRequest:
    return policy_pb2.LikelihoodRequest(
        policy=policy,
        version=version,
        messages=[codec.to_proto(m) for m in messages],
        continuations=continuations,
    )
