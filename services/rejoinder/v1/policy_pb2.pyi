import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rejoinder.v1 import common_pb2 as _common_pb2
from rejoinder.v1 import events_pb2 as _events_pb2
from rejoinder.v1 import ledger_pb2 as _ledger_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("tenant", "policy", "interaction_id", "conversation_id", "conversation_started_at", "parent_interaction_id", "turn", "user_id", "messages", "sampling", "consent", "served", "unlogged")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    PARENT_INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    UNLOGGED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    policy: str
    interaction_id: str
    conversation_id: str
    conversation_started_at: _timestamp_pb2.Timestamp
    parent_interaction_id: str
    turn: int
    user_id: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    sampling: _common_pb2.Sampling
    consent: _common_pb2.Consent
    served: _common_pb2.Served
    unlogged: bool
    def __init__(self, tenant: _Optional[str] = ..., policy: _Optional[str] = ..., interaction_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., conversation_started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., parent_interaction_id: _Optional[str] = ..., turn: _Optional[int] = ..., user_id: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., consent: _Optional[_Union[_common_pb2.Consent, str]] = ..., served: _Optional[_Union[_common_pb2.Served, _Mapping]] = ..., unlogged: _Optional[bool] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("start", "text", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: GenerateStart
    text: str
    end: GenerateEnd
    def __init__(self, start: _Optional[_Union[GenerateStart, _Mapping]] = ..., text: _Optional[str] = ..., end: _Optional[_Union[GenerateEnd, _Mapping]] = ...) -> None: ...

class GenerateStart(_message.Message):
    __slots__ = ("interaction_id", "attempt_id", "served")
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVED_FIELD_NUMBER: _ClassVar[int]
    interaction_id: str
    attempt_id: str
    served: _common_pb2.Served
    def __init__(self, interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., served: _Optional[_Union[_common_pb2.Served, _Mapping]] = ...) -> None: ...

class GenerateEnd(_message.Message):
    __slots__ = ("status", "finish_reason", "prompt_tokens", "completion_tokens", "log_prob")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    status: _events_pb2.AttemptStatus
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    log_prob: float
    def __init__(self, status: _Optional[_Union[_events_pb2.AttemptStatus, str]] = ..., finish_reason: _Optional[str] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., log_prob: _Optional[float] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("policy", "version", "messages", "sampling", "n")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    sampling: _common_pb2.Sampling
    n: int
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., sampling: _Optional[_Union[_common_pb2.Sampling, _Mapping]] = ..., n: _Optional[int] = ...) -> None: ...

class SampledAnswer(_message.Message):
    __slots__ = ("text", "log_prob", "tokens", "finish_reason")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOG_PROB_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    text: str
    log_prob: float
    tokens: int
    finish_reason: str
    def __init__(self, text: _Optional[str] = ..., log_prob: _Optional[float] = ..., tokens: _Optional[int] = ..., finish_reason: _Optional[str] = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("answers", "version", "digest")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[SampledAnswer]
    version: str
    digest: str
    def __init__(self, answers: _Optional[_Iterable[_Union[SampledAnswer, _Mapping]]] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class LikelihoodRequest(_message.Message):
    __slots__ = ("policy", "version", "messages", "continuations")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CONTINUATIONS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    continuations: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., continuations: _Optional[_Iterable[str]] = ...) -> None: ...

class LikelihoodResponse(_message.Message):
    __slots__ = ("log_probs", "tokens", "version", "digest")
    LOG_PROBS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    log_probs: _containers.RepeatedScalarFieldContainer[float]
    tokens: _containers.RepeatedScalarFieldContainer[int]
    version: str
    digest: str
    def __init__(self, log_probs: _Optional[_Iterable[float]] = ..., tokens: _Optional[_Iterable[int]] = ..., version: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class ListArmsRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class ServedVersion(_message.Message):
    __slots__ = ("version", "digest", "arm", "ready")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    version: str
    digest: str
    arm: _common_pb2.ArmKind
    ready: bool
    def __init__(self, version: _Optional[str] = ..., digest: _Optional[str] = ..., arm: _Optional[_Union[_common_pb2.ArmKind, str]] = ..., ready: _Optional[bool] = ...) -> None: ...

class AssignmentCount(_message.Message):
    __slots__ = ("arm", "weight", "units")
    ARM_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    arm: _common_pb2.ArmKind
    weight: float
    units: int
    def __init__(self, arm: _Optional[_Union[_common_pb2.ArmKind, str]] = ..., weight: _Optional[float] = ..., units: _Optional[int] = ...) -> None: ...

class ListArmsResponse(_message.Message):
    __slots__ = ("policy", "term", "generation", "versions", "canary_refused", "epoch", "salt", "assignments", "shadows")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    CANARY_REFUSED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    term: int
    generation: int
    versions: _containers.RepeatedCompositeFieldContainer[ServedVersion]
    canary_refused: str
    epoch: str
    salt: str
    assignments: _containers.RepeatedCompositeFieldContainer[AssignmentCount]
    shadows: bool
    def __init__(self, policy: _Optional[str] = ..., term: _Optional[int] = ..., generation: _Optional[int] = ..., versions: _Optional[_Iterable[_Union[ServedVersion, _Mapping]]] = ..., canary_refused: _Optional[str] = ..., epoch: _Optional[str] = ..., salt: _Optional[str] = ..., assignments: _Optional[_Iterable[_Union[AssignmentCount, _Mapping]]] = ..., shadows: _Optional[bool] = ...) -> None: ...

class ShadowRequest(_message.Message):
    __slots__ = ("policy", "salt", "share", "unit", "stable", "candidate", "candidate_digest", "refusals", "norms", "lasts")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    NORMS_FIELD_NUMBER: _ClassVar[int]
    LASTS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    salt: str
    share: float
    unit: str
    stable: str
    candidate: str
    candidate_digest: str
    refusals: bool
    norms: _containers.RepeatedCompositeFieldContainer[_ledger_pb2.NormRule]
    lasts: _duration_pb2.Duration
    def __init__(self, policy: _Optional[str] = ..., salt: _Optional[str] = ..., share: _Optional[float] = ..., unit: _Optional[str] = ..., stable: _Optional[str] = ..., candidate: _Optional[str] = ..., candidate_digest: _Optional[str] = ..., refusals: _Optional[bool] = ..., norms: _Optional[_Iterable[_Union[_ledger_pb2.NormRule, _Mapping]]] = ..., lasts: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ShadowCount(_message.Message):
    __slots__ = ("veto", "pairs", "shown", "candidate", "both")
    VETO_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    SHOWN_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_FIELD_NUMBER: _ClassVar[int]
    BOTH_FIELD_NUMBER: _ClassVar[int]
    veto: str
    pairs: int
    shown: int
    candidate: int
    both: int
    def __init__(self, veto: _Optional[str] = ..., pairs: _Optional[int] = ..., shown: _Optional[int] = ..., candidate: _Optional[int] = ..., both: _Optional[int] = ...) -> None: ...

class ShadowDropped(_message.Message):
    __slots__ = ("cause", "count")
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    cause: str
    count: int
    def __init__(self, cause: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ShadowResponse(_message.Message):
    __slots__ = ("epoch", "salt", "pairs", "vetoes", "dropped", "shown_tokens", "candidate_tokens")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    VETOES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    SHOWN_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CANDIDATE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    salt: str
    pairs: int
    vetoes: _containers.RepeatedCompositeFieldContainer[ShadowCount]
    dropped: _containers.RepeatedCompositeFieldContainer[ShadowDropped]
    shown_tokens: int
    candidate_tokens: int
    def __init__(self, epoch: _Optional[str] = ..., salt: _Optional[str] = ..., pairs: _Optional[int] = ..., vetoes: _Optional[_Iterable[_Union[ShadowCount, _Mapping]]] = ..., dropped: _Optional[_Iterable[_Union[ShadowDropped, _Mapping]]] = ..., shown_tokens: _Optional[int] = ..., candidate_tokens: _Optional[int] = ...) -> None: ...
