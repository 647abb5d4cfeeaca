import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rejoinder.v1 import common_pb2 as _common_pb2
from rejoinder.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TraceRequest(_message.Message):
    __slots__ = ("tenant", "id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class TraceNode(_message.Message):
    __slots__ = ("kind", "id", "digest", "state", "at", "facts", "sources")
    class FactsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    digest: str
    state: str
    at: _timestamp_pb2.Timestamp
    facts: _containers.ScalarMap[str, str]
    sources: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., digest: _Optional[str] = ..., state: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., facts: _Optional[_Mapping[str, str]] = ..., sources: _Optional[_Iterable[str]] = ...) -> None: ...

class TraceResponse(_message.Message):
    __slots__ = ("nodes",)
    NODES_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[TraceNode]
    def __init__(self, nodes: _Optional[_Iterable[_Union[TraceNode, _Mapping]]] = ...) -> None: ...

class EraseRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class EraseResponse(_message.Message):
    __slots__ = ("ticket", "erased_at", "raw_copy_ends_at")
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ERASED_AT_FIELD_NUMBER: _ClassVar[int]
    RAW_COPY_ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    ticket: str
    erased_at: _timestamp_pb2.Timestamp
    raw_copy_ends_at: _timestamp_pb2.Timestamp
    def __init__(self, ticket: _Optional[str] = ..., erased_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., raw_copy_ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetSatisfactionRequest(_message.Message):
    __slots__ = ("tenant", "group_by", "since", "until")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    GROUP_BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    group_by: str
    since: _timestamp_pb2.Timestamp
    until: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., group_by: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SatisfactionRow(_message.Message):
    __slots__ = ("group", "interactions", "replied", "sat", "dsat", "none", "satisfaction", "low", "high", "users")
    GROUP_FIELD_NUMBER: _ClassVar[int]
    INTERACTIONS_FIELD_NUMBER: _ClassVar[int]
    REPLIED_FIELD_NUMBER: _ClassVar[int]
    SAT_FIELD_NUMBER: _ClassVar[int]
    DSAT_FIELD_NUMBER: _ClassVar[int]
    NONE_FIELD_NUMBER: _ClassVar[int]
    SATISFACTION_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    group: str
    interactions: int
    replied: int
    sat: int
    dsat: int
    none: int
    satisfaction: float
    low: float
    high: float
    users: int
    def __init__(self, group: _Optional[str] = ..., interactions: _Optional[int] = ..., replied: _Optional[int] = ..., sat: _Optional[int] = ..., dsat: _Optional[int] = ..., none: _Optional[int] = ..., satisfaction: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., users: _Optional[int] = ...) -> None: ...

class GetSatisfactionResponse(_message.Message):
    __slots__ = ("rows", "join_rate", "unlinked")
    class UnlinkedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ROWS_FIELD_NUMBER: _ClassVar[int]
    JOIN_RATE_FIELD_NUMBER: _ClassVar[int]
    UNLINKED_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[SatisfactionRow]
    join_rate: float
    unlinked: _containers.ScalarMap[str, int]
    def __init__(self, rows: _Optional[_Iterable[_Union[SatisfactionRow, _Mapping]]] = ..., join_rate: _Optional[float] = ..., unlinked: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetParityRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ParityRow(_message.Message):
    __slots__ = ("topic", "partition", "read", "stored", "duplicate", "conflict", "dead_lettered", "erased", "expired", "position", "end")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERED_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    read: int
    stored: int
    duplicate: int
    conflict: int
    dead_lettered: int
    erased: int
    expired: int
    position: int
    end: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., read: _Optional[int] = ..., stored: _Optional[int] = ..., duplicate: _Optional[int] = ..., conflict: _Optional[int] = ..., dead_lettered: _Optional[int] = ..., erased: _Optional[int] = ..., expired: _Optional[int] = ..., position: _Optional[int] = ..., end: _Optional[int] = ...) -> None: ...

class GetParityResponse(_message.Message):
    __slots__ = ("rows", "parked", "orphaned", "digest")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    ORPHANED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[ParityRow]
    parked: int
    orphaned: int
    digest: str
    def __init__(self, rows: _Optional[_Iterable[_Union[ParityRow, _Mapping]]] = ..., parked: _Optional[int] = ..., orphaned: _Optional[int] = ..., digest: _Optional[str] = ...) -> None: ...

class ListAnswersRequest(_message.Message):
    __slots__ = ("tenant", "polarity", "conversation_id", "interaction_id", "version", "before", "limit")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    polarity: _events_pb2.Polarity
    conversation_id: str
    interaction_id: str
    version: str
    before: str
    limit: int
    def __init__(self, tenant: _Optional[str] = ..., polarity: _Optional[_Union[_events_pb2.Polarity, str]] = ..., conversation_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., version: _Optional[str] = ..., before: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class HeardFeedback(_message.Message):
    __slots__ = ("feedback", "signals", "in_force")
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    IN_FORCE_FIELD_NUMBER: _ClassVar[int]
    feedback: _events_pb2.Feedback
    signals: _containers.RepeatedCompositeFieldContainer[_events_pb2.Signal]
    in_force: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, feedback: _Optional[_Union[_events_pb2.Feedback, _Mapping]] = ..., signals: _Optional[_Iterable[_Union[_events_pb2.Signal, _Mapping]]] = ..., in_force: _Optional[_Iterable[str]] = ...) -> None: ...

class ListedAnswer(_message.Message):
    __slots__ = ("interaction", "feedback", "unheard")
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    UNHEARD_FIELD_NUMBER: _ClassVar[int]
    interaction: _events_pb2.Interaction
    feedback: _containers.RepeatedCompositeFieldContainer[HeardFeedback]
    unheard: int
    def __init__(self, interaction: _Optional[_Union[_events_pb2.Interaction, _Mapping]] = ..., feedback: _Optional[_Iterable[_Union[HeardFeedback, _Mapping]]] = ..., unheard: _Optional[int] = ...) -> None: ...

class ListAnswersResponse(_message.Message):
    __slots__ = ("answers", "next")
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[ListedAnswer]
    next: str
    def __init__(self, answers: _Optional[_Iterable[_Union[ListedAnswer, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class ReadEvidenceRequest(_message.Message):
    __slots__ = ("reader", "acknowledged", "limit")
    READER_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    reader: str
    acknowledged: int
    limit: int
    def __init__(self, reader: _Optional[str] = ..., acknowledged: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class EvidenceItem(_message.Message):
    __slots__ = ("number", "interaction", "feedback")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    number: int
    interaction: _events_pb2.Interaction
    feedback: _events_pb2.Feedback
    def __init__(self, number: _Optional[int] = ..., interaction: _Optional[_Union[_events_pb2.Interaction, _Mapping]] = ..., feedback: _Optional[_Union[_events_pb2.Feedback, _Mapping]] = ...) -> None: ...

class ReadEvidenceResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EvidenceItem]
    def __init__(self, items: _Optional[_Iterable[_Union[EvidenceItem, _Mapping]]] = ...) -> None: ...

class FetchEvidenceRequest(_message.Message):
    __slots__ = ("reader", "references")
    READER_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    reader: str
    references: _containers.RepeatedCompositeFieldContainer[_events_pb2.EvidenceReference]
    def __init__(self, reader: _Optional[str] = ..., references: _Optional[_Iterable[_Union[_events_pb2.EvidenceReference, _Mapping]]] = ...) -> None: ...

class FetchEvidenceResponse(_message.Message):
    __slots__ = ("items", "left")
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[EvidenceItem]
    left: _containers.RepeatedCompositeFieldContainer[_events_pb2.EvidenceReference]
    def __init__(self, items: _Optional[_Iterable[_Union[EvidenceItem, _Mapping]]] = ..., left: _Optional[_Iterable[_Union[_events_pb2.EvidenceReference, _Mapping]]] = ...) -> None: ...

class Judge(_message.Message):
    __slots__ = ("extractor", "version")
    EXTRACTOR_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    extractor: str
    version: str
    def __init__(self, extractor: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class NormRule(_message.Message):
    __slots__ = ("asked", "forbid", "require", "most_words")
    ASKED_FIELD_NUMBER: _ClassVar[int]
    FORBID_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_FIELD_NUMBER: _ClassVar[int]
    MOST_WORDS_FIELD_NUMBER: _ClassVar[int]
    asked: str
    forbid: str
    require: str
    most_words: int
    def __init__(self, asked: _Optional[str] = ..., forbid: _Optional[str] = ..., require: _Optional[str] = ..., most_words: _Optional[int] = ...) -> None: ...

class ReadJudgedRequest(_message.Message):
    __slots__ = ("policy", "after", "maturity_s", "unit", "judges", "limit", "second", "refusals", "norms")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    MATURITY_S_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    JUDGES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    NORMS_FIELD_NUMBER: _ClassVar[int]
    policy: str
    after: _timestamp_pb2.Timestamp
    maturity_s: float
    unit: str
    judges: _containers.RepeatedCompositeFieldContainer[Judge]
    limit: int
    second: Judge
    refusals: bool
    norms: _containers.RepeatedCompositeFieldContainer[NormRule]
    def __init__(self, policy: _Optional[str] = ..., after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., maturity_s: _Optional[float] = ..., unit: _Optional[str] = ..., judges: _Optional[_Iterable[_Union[Judge, _Mapping]]] = ..., limit: _Optional[int] = ..., second: _Optional[_Union[Judge, _Mapping]] = ..., refusals: _Optional[bool] = ..., norms: _Optional[_Iterable[_Union[NormRule, _Mapping]]] = ...) -> None: ...

class NormsTold(_message.Message):
    __slots__ = ("applied", "broken")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FIELD_NUMBER: _ClassVar[int]
    applied: _containers.RepeatedScalarFieldContainer[int]
    broken: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, applied: _Optional[_Iterable[int]] = ..., broken: _Optional[_Iterable[int]] = ...) -> None: ...

class JudgedTurn(_message.Message):
    __slots__ = ("tenant", "user_id", "conversation_id", "interaction_id", "accepted_at", "arm", "version", "propensity", "holdout", "forced", "crossed", "completed", "response_chars", "followed_at", "polarity", "conversation_weight", "sampled", "second", "refused", "norms")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    ARM_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    CROSSED_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_CHARS_FIELD_NUMBER: _ClassVar[int]
    FOLLOWED_AT_FIELD_NUMBER: _ClassVar[int]
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    NORMS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    conversation_id: str
    interaction_id: str
    accepted_at: _timestamp_pb2.Timestamp
    arm: _common_pb2.ArmKind
    version: str
    propensity: float
    holdout: bool
    forced: bool
    crossed: bool
    completed: bool
    response_chars: int
    followed_at: _timestamp_pb2.Timestamp
    polarity: _events_pb2.Polarity
    conversation_weight: float
    sampled: bool
    second: _events_pb2.Polarity
    refused: bool
    norms: NormsTold
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., accepted_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., arm: _Optional[_Union[_common_pb2.ArmKind, str]] = ..., version: _Optional[str] = ..., propensity: _Optional[float] = ..., holdout: _Optional[bool] = ..., forced: _Optional[bool] = ..., crossed: _Optional[bool] = ..., completed: _Optional[bool] = ..., response_chars: _Optional[int] = ..., followed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., polarity: _Optional[_Union[_events_pb2.Polarity, str]] = ..., conversation_weight: _Optional[float] = ..., sampled: _Optional[bool] = ..., second: _Optional[_Union[_events_pb2.Polarity, str]] = ..., refused: _Optional[bool] = ..., norms: _Optional[_Union[NormsTold, _Mapping]] = ...) -> None: ...

class ReadJudgedResponse(_message.Message):
    __slots__ = ("turns", "matured_to", "judges", "foreign", "behind_s", "second")
    TURNS_FIELD_NUMBER: _ClassVar[int]
    MATURED_TO_FIELD_NUMBER: _ClassVar[int]
    JUDGES_FIELD_NUMBER: _ClassVar[int]
    FOREIGN_FIELD_NUMBER: _ClassVar[int]
    BEHIND_S_FIELD_NUMBER: _ClassVar[int]
    SECOND_FIELD_NUMBER: _ClassVar[int]
    turns: _containers.RepeatedCompositeFieldContainer[JudgedTurn]
    matured_to: _timestamp_pb2.Timestamp
    judges: _containers.RepeatedCompositeFieldContainer[Judge]
    foreign: int
    behind_s: float
    second: Judge
    def __init__(self, turns: _Optional[_Iterable[_Union[JudgedTurn, _Mapping]]] = ..., matured_to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., judges: _Optional[_Iterable[_Union[Judge, _Mapping]]] = ..., foreign: _Optional[int] = ..., behind_s: _Optional[float] = ..., second: _Optional[_Union[Judge, _Mapping]] = ...) -> None: ...

class GetCutRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCutResponse(_message.Message):
    __slots__ = ("cut",)
    CUT_FIELD_NUMBER: _ClassVar[int]
    cut: str
    def __init__(self, cut: _Optional[str] = ...) -> None: ...

class Leaving(_message.Message):
    __slots__ = ("holdout_salt", "holdout_share", "rolled_back")
    HOLDOUT_SALT_FIELD_NUMBER: _ClassVar[int]
    HOLDOUT_SHARE_FIELD_NUMBER: _ClassVar[int]
    ROLLED_BACK_FIELD_NUMBER: _ClassVar[int]
    holdout_salt: str
    holdout_share: float
    rolled_back: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, holdout_salt: _Optional[str] = ..., holdout_share: _Optional[float] = ..., rolled_back: _Optional[_Iterable[str]] = ...) -> None: ...

class BuildWindowRequest(_message.Message):
    __slots__ = ("loop", "number", "policy", "cut", "leaving")
    LOOP_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    loop: str
    number: int
    policy: str
    cut: str
    leaving: Leaving
    def __init__(self, loop: _Optional[str] = ..., number: _Optional[int] = ..., policy: _Optional[str] = ..., cut: _Optional[str] = ..., leaving: _Optional[_Union[Leaving, _Mapping]] = ...) -> None: ...

class WindowHead(_message.Message):
    __slots__ = ("digest", "as_of", "counts", "redacted")
    class CountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    digest: str
    as_of: _timestamp_pb2.Timestamp
    counts: _containers.ScalarMap[str, int]
    redacted: int
    def __init__(self, digest: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., counts: _Optional[_Mapping[str, int]] = ..., redacted: _Optional[int] = ...) -> None: ...

class WindowEvidence(_message.Message):
    __slots__ = ("id", "tenant", "feedback", "interaction", "signal", "other", "supersedes")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDES_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    feedback: _events_pb2.Feedback
    interaction: _events_pb2.Interaction
    signal: _events_pb2.Signal
    other: _events_pb2.Interaction
    supersedes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ..., feedback: _Optional[_Union[_events_pb2.Feedback, _Mapping]] = ..., interaction: _Optional[_Union[_events_pb2.Interaction, _Mapping]] = ..., signal: _Optional[_Union[_events_pb2.Signal, _Mapping]] = ..., other: _Optional[_Union[_events_pb2.Interaction, _Mapping]] = ..., supersedes: _Optional[_Iterable[str]] = ...) -> None: ...

class BuildWindowResponse(_message.Message):
    __slots__ = ("head", "evidence")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    head: WindowHead
    evidence: _containers.RepeatedCompositeFieldContainer[WindowEvidence]
    def __init__(self, head: _Optional[_Union[WindowHead, _Mapping]] = ..., evidence: _Optional[_Iterable[_Union[WindowEvidence, _Mapping]]] = ...) -> None: ...

class ListLooksRequest(_message.Message):
    __slots__ = ("tenant", "id", "user_id", "limit")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    id: str
    user_id: str
    limit: int
    def __init__(self, tenant: _Optional[str] = ..., id: _Optional[str] = ..., user_id: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class Look(_message.Message):
    __slots__ = ("at", "principal", "tenant", "what", "by", "count", "ids", "users")
    AT_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    IDS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    principal: str
    tenant: str
    what: str
    by: str
    count: int
    ids: _containers.RepeatedScalarFieldContainer[str]
    users: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., principal: _Optional[str] = ..., tenant: _Optional[str] = ..., what: _Optional[str] = ..., by: _Optional[str] = ..., count: _Optional[int] = ..., ids: _Optional[_Iterable[str]] = ..., users: _Optional[_Iterable[str]] = ...) -> None: ...

class ListLooksResponse(_message.Message):
    __slots__ = ("looks",)
    LOOKS_FIELD_NUMBER: _ClassVar[int]
    looks: _containers.RepeatedCompositeFieldContainer[Look]
    def __init__(self, looks: _Optional[_Iterable[_Union[Look, _Mapping]]] = ...) -> None: ...
