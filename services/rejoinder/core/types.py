"""The words of the design as plain frozen values. Times are seconds since the epoch (UTC), durations seconds.

Field names equal those of protos/rejoinder/v1/events.proto, where each is explained; `codec.py` moves between the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

T = TypeVar("T")


class Role(StrEnum):
    """Who says a message."""

    UNSPECIFIED = "UNSPECIFIED"
    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


class Consent(StrEnum):
    """Whether an event may be trained on; unspecified: as the deployment says."""

    UNSPECIFIED = "UNSPECIFIED"
    TRAIN = "TRAIN"
    NO_TRAIN = "NO_TRAIN"


class ArmKind(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    STABLE = "STABLE"
    CANARY = "CANARY"
    BASELINE = "BASELINE"


class AttemptStatus(StrEnum):
    """How an attempt at an answer ended."""

    UNSPECIFIED = "UNSPECIFIED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


class Polarity(StrEnum):
    UNSPECIFIED = "UNSPECIFIED"
    SAT = "SAT"
    DSAT = "DSAT"
    NONE = "NONE"


class Choice(StrEnum):
    """What a comparison says of this answer and the other one."""

    UNSPECIFIED = "UNSPECIFIED"
    THIS = "THIS"
    OTHER = "OTHER"
    TIE = "TIE"
    BOTH_BAD = "BOTH_BAD"


class RecordOutcome(StrEnum):
    """What became of one item of an ingest request."""

    UNSPECIFIED = "UNSPECIFIED"
    RECORDED = "RECORDED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"


@dataclass(frozen=True)
class Coordinate:
    topic: str = ""
    partition: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Message:
    """One message of a conversation."""

    role: Role = Role.UNSPECIFIED
    content: str = ""


@dataclass(frozen=True)
class Served:
    """Which version answered, and with what probability it was the one to. digest: of its weights, the identity."""

    policy: str = ""
    version: str = ""
    digest: str = ""
    arm: ArmKind = ArmKind.UNSPECIFIED
    propensity: float = 0.0
    bucket: float = 0.0
    generation: int = 0
    forced: bool = False
    holdout: bool = False


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. temperature: 0 = greedy; of the others 0 leaves it to the server."""

    temperature: float = 0.0
    top_p: float = 0.0
    top_k: int = 0
    max_tokens: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class RankedCandidate:
    id: str = ""
    text: str = ""
    score: float = 0.0
    position: int = 0
    propensity: float = 0.0


@dataclass(frozen=True)
class Ranking:
    query: str = ""
    candidates: tuple[RankedCandidate, ...] = ()


@dataclass(frozen=True)
class Interaction:
    """One served answer or ranking: one attempt of it."""

    tenant: str = ""
    event_id: str = ""
    interaction_id: str = ""
    attempt_id: str = ""
    conversation_id: str = ""
    conversation_started_at: float | None = None
    parent_interaction_id: str = ""
    turn: int = 0
    user_id: str = ""
    principal: str = ""
    messages: tuple[Message, ...] = ()
    response: str = ""
    served: Served | None = None
    status: AttemptStatus = AttemptStatus.UNSPECIFIED
    failure_reason: str = ""
    occurred_at: float | None = None
    accepted_at: float | None = None
    latency: float | None = None
    time_to_first_token: float | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    log_prob: float = 0.0
    sampling: Sampling | None = None
    ranking: Ranking | None = None
    consent: Consent = Consent.UNSPECIFIED
    source: str = ""
    sealed: bytes = b""
    key_id: str = ""


@dataclass(frozen=True)
class FollowUp:
    """What the user said next."""

    text: str = ""


@dataclass(frozen=True)
class Rating:
    """number or category is set, never both."""

    name: str = ""
    number: float | None = None
    category: str | None = None
    scale_min: float = 0.0
    scale_max: float = 0.0
    categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comment:
    """What a user wrote about an answer, beside the conversation."""

    text: str = ""


@dataclass(frozen=True)
class Edit:
    """The answer as the user changed it."""

    text: str = ""


@dataclass(frozen=True)
class Comparison:
    """Which of two answers the user preferred."""

    other_interaction_id: str = ""
    other_attempt_id: str = ""
    choice: Choice = Choice.UNSPECIFIED


@dataclass(frozen=True)
class Click:
    """A candidate of a slate was chosen. position: from 1, where it was shown."""

    candidate_id: str = ""
    position: int = 0


@dataclass(frozen=True)
class Copy:
    """So many characters of the answer were copied."""

    characters: int = 0


@dataclass(frozen=True)
class Regenerate:
    """The user asked for another answer. new_interaction_id: that one, "" where it is not known."""

    new_interaction_id: str = ""


@dataclass(frozen=True)
class Abandon:
    """The user left. after: seconds from the answer on."""

    after: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it later, as the application measures it: a sale, a solved ticket."""

    name: str = ""
    value: float = 0.0


def changed(value: T, **fields: Any) -> T:
    """A copy with other fields: `dataclasses.replace` in a fifth of the time, for values that are changed once per
    event. Not for a class that works out fields in `__post_init__`."""
    out = object.__new__(type(value))
    out.__dict__.update(value.__dict__)
    out.__dict__.update(fields)
    return out


Kind = FollowUp | Rating | Comment | Edit | Comparison | Click | Copy | Regenerate | Abandon | Outcome

#: The proto's oneof field of each kind; the order is the proto's.
KINDS: dict[str, type] = {
    "follow_up": FollowUp,
    "rating": Rating,
    "comment": Comment,
    "edit": Edit,
    "comparison": Comparison,
    "click": Click,
    "copy": Copy,
    "regenerate": Regenerate,
    "abandon": Abandon,
    "outcome": Outcome,
}
_KIND_NAMES = {cls: name for name, cls in KINDS.items()}


@dataclass(frozen=True)
class Feedback:
    """What a user did about an answer; `kind` says what."""

    tenant: str = ""
    event_id: str = ""
    interaction_id: str = ""
    attempt_id: str = ""
    conversation_id: str = ""
    turn: int = 0
    answer_digest: str = ""
    user_id: str = ""
    principal: str = ""
    occurred_at: float | None = None
    accepted_at: float | None = None
    consent: Consent = Consent.UNSPECIFIED
    source: str = ""
    kind: Kind | None = None
    sealed: bytes = b""
    key_id: str = ""

    @property
    def kind_name(self) -> str:
        """The kind's name in the proto, "" when none is set."""
        return _KIND_NAMES.get(type(self.kind), "")


@dataclass(frozen=True)
class Reason:
    """One rubric class that fired; [start, end) are characters of the source event's text."""

    rubric: str = ""
    probability: float = 0.0
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Signal:
    """What an extractor concludes from one feedback event."""

    tenant: str = ""
    event_id: str = ""
    source_event_id: str = ""
    interaction_id: str = ""
    attempt_id: str = ""
    user_id: str = ""
    polarity: Polarity = Polarity.UNSPECIFIED
    confidence: float = 0.0
    strength: float = 0.0
    level: float = 0.0
    reasons: tuple[Reason, ...] = ()
    extractor: str = ""
    extractor_version: str = ""
    occurred_at: float | None = None
    accepted_at: float | None = None


@dataclass(frozen=True)
class Label:
    """What a person concludes from one feedback event, as feedback.proto has it."""

    tenant: str = ""
    event_id: str = ""
    source_event_id: str = ""
    interaction_id: str = ""
    attempt_id: str = ""
    user_id: str = ""
    polarity: Polarity = Polarity.UNSPECIFIED
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class EvidenceReference:
    """A piece of joined evidence by its number in the ledger."""

    tenant: str = ""
    number: int = 0


@dataclass(frozen=True)
class RoundEvent:
    tenant: str = ""
    event_id: str = ""
    policy: str = ""
    number: int = 0
    stage: str = ""
    digest: str = ""
    version: str = ""
    occurred_at: float | None = None
    accepted_at: float | None = None


@dataclass(frozen=True)
class Erasure:
    subject: str = ""
    ticket: str = ""
    erased_at: float | None = None
    grace: float | None = None


@dataclass(frozen=True)
class DeadLetter:
    event_id: str = ""
    tenant: str = ""
    reason: str = ""
    source: Coordinate | None = None
    other: Coordinate | None = None
    value: bytes = b""
    subject: str = ""
    accepted_at: float | None = None


@dataclass(frozen=True)
class Candidate:
    """One answer of a preference."""

    response: str
    score: float | None = None
    role: str = ""
    version: str = ""
    log_prob: float | None = None
    tokens: int = 0
    latency: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Provenance:
    """Where a preference came from: enough to walk back to every event."""

    builder: str = ""
    builder_version: str = ""
    event_ids: tuple[str, ...] = ()
    interaction_ids: tuple[str, ...] = ()
    policy: str = ""
    version: str = ""
    judge: str = ""
    round: int = 0
    seed: int = 0
    rule: str = ""
    evidence: str = ""


@dataclass(frozen=True)
class Preference:
    """Candidates of one prompt in an order.

    relation: pair | list | tree; order: indices of `candidates`, best first. margin: score gap of best and worst in
    the judge's unit. flip_probability: probability that the order is wrong, in [0, 0.5). weight ≥ 0.
    level: response | step | span | prompt, with `prefix_length` tokens shared where it is not the whole response.
    reasons: rubric names.
    """

    id: str
    prompt: tuple[Message, ...]
    candidates: tuple[Candidate, ...]
    order: tuple[int, ...] = (0, 1)
    relation: str = "pair"
    level: str = "response"
    prefix_length: int = 0
    margin: float = 0.0
    flip_probability: float = 0.0
    weight: float = 1.0
    reasons: tuple[str, ...] = ()
    tenant: str = ""
    user_id: str = ""
    conversation_id: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    @property
    def chosen(self) -> str:
        return self.candidates[self.order[0]].response

    @property
    def rejected(self) -> str:
        return self.candidates[self.order[-1]].response
