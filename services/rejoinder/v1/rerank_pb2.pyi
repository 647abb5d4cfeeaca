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

class Candidate(_message.Message):
    __slots__ = ("id", "text")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class RerankRequest(_message.Message):
    __slots__ = ("tenant", "interaction_id", "conversation_id", "conversation_started_at", "user_id", "query", "candidates", "top_n", "ranker", "user_context", "consent", "temperature", "seed")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_ID_FIELD_NUMBER: _ClassVar[int]
    CONVERSATION_STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    TOP_N_FIELD_NUMBER: _ClassVar[int]
    RANKER_FIELD_NUMBER: _ClassVar[int]
    USER_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    interaction_id: str
    conversation_id: str
    conversation_started_at: _timestamp_pb2.Timestamp
    user_id: str
    query: str
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    top_n: int
    ranker: str
    user_context: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    consent: _common_pb2.Consent
    temperature: float
    seed: int
    def __init__(self, tenant: _Optional[str] = ..., interaction_id: _Optional[str] = ..., conversation_id: _Optional[str] = ..., conversation_started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., user_id: _Optional[str] = ..., query: _Optional[str] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., top_n: _Optional[int] = ..., ranker: _Optional[str] = ..., user_context: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., consent: _Optional[_Union[_common_pb2.Consent, str]] = ..., temperature: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

class RerankResponse(_message.Message):
    __slots__ = ("interaction_id", "attempt_id", "ranked", "ranker", "digest")
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    RANKED_FIELD_NUMBER: _ClassVar[int]
    RANKER_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    interaction_id: str
    attempt_id: str
    ranked: _containers.RepeatedCompositeFieldContainer[_events_pb2.RankedCandidate]
    ranker: str
    digest: str
    def __init__(self, interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., ranked: _Optional[_Iterable[_Union[_events_pb2.RankedCandidate, _Mapping]]] = ..., ranker: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...
