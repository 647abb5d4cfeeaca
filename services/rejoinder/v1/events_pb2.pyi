import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rejoinder.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttemptStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTEMPT_STATUS_UNSPECIFIED: _ClassVar[AttemptStatus]
    ATTEMPT_STATUS_COMPLETED: _ClassVar[AttemptStatus]
    ATTEMPT_STATUS_CANCELLED: _ClassVar[AttemptStatus]
    ATTEMPT_STATUS_FAILED: _ClassVar[AttemptStatus]

class Polarity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLARITY_UNSPECIFIED: _ClassVar[Polarity]
    POLARITY_SAT: _ClassVar[Polarity]
    POLARITY_DSAT: _ClassVar[Polarity]
    POLARITY_NONE: _ClassVar[Polarity]
ATTEMPT_STATUS_UNSPECIFIED: AttemptStatus
ATTEMPT_STATUS_COMPLETED: AttemptStatus
ATTEMPT_STATUS_CANCELLED: AttemptStatus
ATTEMPT_STATUS_FAILED: AttemptStatus
POLARITY_UNSPECIFIED: Polarity
POLARITY_SAT: Polarity
POLARITY_DSAT: Polarity
POLARITY_NONE: Polarity

class Interaction(_message.Message):
    __slots__ = ("tenant", "event_id", "interaction_id", "attempt_id", "conversation_id", "conversation_started_at", "parent_interaction_id", "turn", "user_id", "principal", "messages", "response", "served", "status", "failure_reason", "occurred_at", "accepted_at", "latency", "time_to_first_token", "prompt_tokens", "completion_tokens", "log_prob", "sampling", "ranking", "consent", "source", "sealed", "key_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    TIME_TO_FIRST_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    interaction_id: str
    attempt_id: str
    conversation_id: str
    conversation_started_at: _timestamp_pb2.Timestamp
    parent_interaction_id: str
    turn: int
    user_id: str
    principal: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    response: str
    served: _common_pb2.Served
    status: AttemptStatus
    failure_reason: str
    occurred_at: _timestamp_pb2.Timestamp
    accepted_at: _timestamp_pb2.Timestamp
    latency: _duration_pb2.Duration
    time_to_first_token: _duration_pb2.Duration
    prompt_tokens: int
    completion_tokens: int
    log_prob: float
    sampling: _common_pb2.Sampling
    ranking: Ranking
    consent: _common_pb2.Consent
    source: str
    sealed: bytes
    key_id: str
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., conversation_started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent_interaction_id: _Optional[str] = ..., turn: _Optional[int] = ..., user_id: _Optional[str] = ..., principal: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., response: _Optional[str] = ..., served: _Optional[_Union[_common_pb2.Served, _Mapping]] = ..., status: _Optional[_Union[AttemptStatus, str]] = ..., failure_reason: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., time_to_first_token: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., log_prob: _Optional[float] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., ranking: _Optional[_Union[Ranking, _Mapping]] = ..., consent: _Optional[_Union[_common_pb2.Consent, str]] = ..., source: _Optional[str] = ..., sealed: _Optional[bytes] = ..., key_id: _Optional[str] = ...) -> None: ...

class Ranking(_message.Message):
    __slots__ = ("query", "candidates")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    query: str
    candidates: _containers.RepeatedCompositeFieldContainer[RankedCandidate]
    def __init__(self, query: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[RankedCandidate, _Mapping]]] = ...) -> None: ...

class RankedCandidate(_message.Message):
    __slots__ = ("id", "text", "score", "position", "propensity")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    score: float
    position: int
    propensity: float
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., score: _Optional[float] = ..., position: _Optional[int] = ..., propensity: _Optional[float] = ...) -> None: ...

class Feedback(_message.Message):
    __slots__ = ("tenant", "event_id", "interaction_id", "attempt_id", "conversation_id", "turn", "answer_digest", "user_id", "principal", "occurred_at", "accepted_at", "consent", "source", "follow_up", "rating", "comment", "edit", "comparison", "click", "copy", "regenerate", "abandon", "outcome", "sealed", "key_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_DIGEST_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_UP_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    EDIT_FIELD_NUMBER: _ClassVar[int]
    COMPARISON_FIELD_NUMBER: _ClassVar[int]
    CLICK_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    REGENERATE_FIELD_NUMBER: _ClassVar[int]
    ABANDON_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    interaction_id: str
    attempt_id: str
    conversation_id: str
    turn: int
    answer_digest: str
    user_id: str
    principal: str
    occurred_at: _timestamp_pb2.Timestamp
    accepted_at: _timestamp_pb2.Timestamp
    consent: _common_pb2.Consent
    source: str
    follow_up: FollowUp
    rating: Rating
    comment: Comment
    edit: Edit
    comparison: Comparison
    click: Click
    copy: Copy
    regenerate: Regenerate
    abandon: Abandon
    outcome: Outcome
    sealed: bytes
    key_id: str
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., turn: _Optional[int] = ..., answer_digest: _Optional[str] = ..., user_id: _Optional[str] = ..., principal: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., consent: _Optional[_Union[_common_pb2.Consent, str]] = ..., source: _Optional[str] = ..., follow_up: _Optional[_Union[FollowUp, _Mapping]] = ..., rating: _Optional[_Union[Rating, _Mapping]] = ..., comment: _Optional[_Union[Comment, _Mapping]] = ..., edit: _Optional[_Union[Edit, _Mapping]] = ..., comparison: _Optional[_Union[Comparison, _Mapping]] = ..., click: _Optional[_Union[Click, _Mapping]] = ..., copy: _Optional[_Union[Copy, _Mapping]] = ..., regenerate: _Optional[_Union[Regenerate, _Mapping]] = ..., abandon: _Optional[_Union[Abandon, _Mapping]] = ..., outcome: _Optional[_Union[Outcome, _Mapping]] = ..., sealed: _Optional[bytes] = ..., key_id: _Optional[str] = ...) -> None: ...

class FollowUp(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Rating(_message.Message):
    __slots__ = ("name", "number", "category", "scale_min", "scale_max", "categories")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SCALE_MIN_FIELD_NUMBER: _ClassVar[int]
    SCALE_MAX_FIELD_NUMBER: _ClassVar[int]
    CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: float
    category: str
    scale_min: float
    scale_max: float
    categories: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., number: _Optional[float] = ..., category: _Optional[str] = ..., scale_min: _Optional[float] = ..., scale_max: _Optional[float] = ..., categories: _Optional[_Iterable[str]] = ...) -> None: ...

class Comment(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Edit(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("other_interaction_id", "other_attempt_id", "choice")
    class Choice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        CHOICE_UNSPECIFIED: _ClassVar[Comparison.Choice]
        CHOICE_THIS: _ClassVar[Comparison.Choice]
        CHOICE_OTHER: _ClassVar[Comparison.Choice]
        CHOICE_TIE: _ClassVar[Comparison.Choice]
        CHOICE_BOTH_BAD: _ClassVar[Comparison.Choice]
    CHOICE_UNSPECIFIED: Comparison.Choice
    CHOICE_THIS: Comparison.Choice
    CHOICE_OTHER: Comparison.Choice
    CHOICE_TIE: Comparison.Choice
    CHOICE_BOTH_BAD: Comparison.Choice
    OTHER_INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OTHER_ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    CHOICE_FIELD_NUMBER: _ClassVar[int]
    other_interaction_id: str
    other_attempt_id: str
    choice: Comparison.Choice
    def __init__(self, other_interaction_id: _Optional[str] = ..., other_attempt_id: _Optional[str] = ..., choice: _Optional[_Union[Comparison.Choice, str]] = ...) -> None: ...

class Click(_message.Message):
    __slots__ = ("candidate_id", "position")
    CANDIDATE_ID_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    candidate_id: str
    position: int
    def __init__(self, candidate_id: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class Copy(_message.Message):
    __slots__ = ("characters",)
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    characters: int
    def __init__(self, characters: _Optional[int] = ...) -> None: ...

class Regenerate(_message.Message):
    __slots__ = ("new_interaction_id",)
    NEW_INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    new_interaction_id: str
    def __init__(self, new_interaction_id: _Optional[str] = ...) -> None: ...

class Abandon(_message.Message):
    __slots__ = ("after",)
    AFTER_FIELD_NUMBER: _ClassVar[int]
    after: _duration_pb2.Duration
    def __init__(self, after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class Signal(_message.Message):
    __slots__ = ("tenant", "event_id", "source_event_id", "interaction_id", "attempt_id", "user_id", "polarity", "confidence", "strength", "level", "reasons", "extractor", "extractor_version", "occurred_at", "accepted_at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    EXTRACTOR_FIELD_NUMBER: _ClassVar[int]
    EXTRACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    source_event_id: str
    interaction_id: str
    attempt_id: str
    user_id: str
    polarity: Polarity
    confidence: float
    strength: float
    level: float
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    extractor: str
    extractor_version: str
    occurred_at: _timestamp_pb2.Timestamp
    accepted_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., source_event_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., user_id: _Optional[str] = ..., polarity: _Optional[_Union[Polarity, str]] = ..., confidence: _Optional[float] = ..., strength: _Optional[float] = ..., level: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., extractor: _Optional[str] = ..., extractor_version: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("rubric", "probability", "start", "end")
    RUBRIC_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    rubric: str
    probability: float
    start: int
    end: int
    def __init__(self, rubric: _Optional[str] = ..., probability: _Optional[float] = ..., start: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class EvidenceReference(_message.Message):
    __slots__ = ("tenant", "number")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    number: int
    def __init__(self, tenant: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...

class RoundEvent(_message.Message):
    __slots__ = ("tenant", "event_id", "policy", "number", "stage", "digest", "version", "occurred_at", "accepted_at")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_AT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    policy: str
    number: int
    stage: str
    digest: str
    version: str
    occurred_at: _timestamp_pb2.Timestamp
    accepted_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., policy: _Optional[str] = ..., number: _Optional[int] = ..., stage: _Optional[str] = ..., digest: _Optional[str] = ..., version: _Optional[str] = ..., occurred_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ArmsTable(_message.Message):
    __slots__ = ("policy", "term", "generation", "written_at", "unit", "salts", "holdout_share", "baseline_share", "stable", "canary", "baseline", "steps", "lease", "frozen", "reason")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AT_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    SALTS_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_SHARE_FIELD_NUMBER: _ClassVar[int]
    BASELINE_SHARE_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    policy: str
    term: int
    generation: int
    written_at: _timestamp_pb2.Timestamp
    unit: str
    salts: ArmsSalts
    holdout_share: float
    baseline_share: float
    stable: ArmsVersion
    canary: ArmsVersion
    baseline: ArmsVersion
    steps: _containers.RepeatedCompositeFieldContainer[ArmsStep]
    lease: CanaryLease
    frozen: bool
    reason: str
    def __init__(self, policy: _Optional[str] = ..., term: _Optional[int] = ..., generation: _Optional[int] = ..., written_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ..., salts: _Optional[_Union[ArmsSalts, _Mapping]] = ..., holdout_share: _Optional[float] = ..., baseline_share: _Optional[float] = ..., stable: _Optional[_Union[ArmsVersion, _Mapping]] = ..., canary: _Optional[_Union[ArmsVersion, _Mapping]] = ..., baseline: _Optional[_Union[ArmsVersion, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[ArmsStep, _Mapping]]] = ..., lease: _Optional[_Union[CanaryLease, _Mapping]] = ..., frozen: _Optional[bool] = ..., reason: _Optional[str] = ...) -> None: ...

class ArmsVersion(_message.Message):
    __slots__ = ("version", "digest")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class ArmsSalts(_message.Message):
    __slots__ = ("assignment", "holdout", "split")
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    SPLIT_FIELD_NUMBER: _ClassVar[int]
    assignment: str
    holdout: str
    split: str
    def __init__(self, assignment: _Optional[str] = ..., holdout: _Optional[str] = ..., split: _Optional[str] = ...) -> None: ...

class ArmsStep(_message.Message):
    __slots__ = ("weight", "since")
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    weight: float
    since: _timestamp_pb2.Timestamp
    def __init__(self, weight: _Optional[float] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CanaryLease(_message.Message):
    __slots__ = ("ttl_s", "renewed_at", "expires_at")
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    RENEWED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ttl_s: float
    renewed_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, ttl_s: _Optional[float] = ..., renewed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Erasure(_message.Message):
    __slots__ = ("subject", "ticket", "erased_at", "grace")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ERASED_AT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    subject: str
    ticket: str
    erased_at: _timestamp_pb2.Timestamp
    grace: _duration_pb2.Duration
    def __init__(self, subject: _Optional[str] = ..., ticket: _Optional[str] = ..., erased_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., grace: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("event_id", "tenant", "reason", "source", "other", "value", "subject", "accepted_at")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    tenant: str
    reason: str
    source: _common_pb2.Coordinate
    other: _common_pb2.Coordinate
    value: bytes
    subject: str
    accepted_at: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., tenant: _Optional[str] = ..., reason: _Optional[str] = ..., source: _Optional[_Union[_common_pb2.Coordinate, _Mapping]] = ..., other: _Optional[_Union[_common_pb2.Coordinate, _Mapping]] = ..., value: _Optional[bytes] = ..., subject: _Optional[str] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
