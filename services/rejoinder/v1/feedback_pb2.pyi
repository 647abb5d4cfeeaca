from rejoinder.v1 import common_pb2 as _common_pb2
from rejoinder.v1 import error_reason_pb2 as _error_reason_pb2
from rejoinder.v1 import events_pb2 as _events_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecordOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECORD_OUTCOME_UNSPECIFIED: _ClassVar[RecordOutcome]
    RECORD_OUTCOME_RECORDED: _ClassVar[RecordOutcome]
    RECORD_OUTCOME_DUPLICATE: _ClassVar[RecordOutcome]
    RECORD_OUTCOME_REJECTED: _ClassVar[RecordOutcome]
RECORD_OUTCOME_UNSPECIFIED: RecordOutcome
RECORD_OUTCOME_RECORDED: RecordOutcome
RECORD_OUTCOME_DUPLICATE: RecordOutcome
RECORD_OUTCOME_REJECTED: RecordOutcome

class RecordFeedbackRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_events_pb2.Feedback]
    def __init__(self, events: _Optional[_Iterable[_Union[_events_pb2.Feedback, _Mapping]]] = ...) -> None: ...

class RecordInteractionsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_events_pb2.Interaction]
    def __init__(self, events: _Optional[_Iterable[_Union[_events_pb2.Interaction, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("tenant", "event_id", "source_event_id", "interaction_id", "attempt_id", "user_id", "polarity", "reasons")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    POLARITY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    source_event_id: str
    interaction_id: str
    attempt_id: str
    user_id: str
    polarity: _events_pb2.Polarity
    reasons: _containers.RepeatedCompositeFieldContainer[_events_pb2.Reason]
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., source_event_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., user_id: _Optional[str] = ..., polarity: _Optional[_Union[_events_pb2.Polarity, str]] = ..., reasons: _Optional[_Iterable[_Union[_events_pb2.Reason, _Mapping]]] = ...) -> None: ...

class RecordLabelsRequest(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, events: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class RecordResult(_message.Message):
    __slots__ = ("event_id", "interaction_id", "outcome", "reason", "field", "coordinate")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    INTERACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    COORDINATE_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    interaction_id: str
    outcome: RecordOutcome
    reason: _error_reason_pb2.ErrorReason
    field: str
    coordinate: _common_pb2.Coordinate
    def __init__(self, event_id: _Optional[str] = ..., interaction_id: _Optional[str] = ..., outcome: _Optional[_Union[RecordOutcome, str]] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., field: _Optional[str] = ..., coordinate: _Optional[_Union[_common_pb2.Coordinate, _Mapping]] = ...) -> None: ...

class RecordResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RecordResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RecordResult, _Mapping]]] = ...) -> None: ...

class LogRecord(_message.Message):
    __slots__ = ("topic", "key", "value", "headers")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    topic: str
    key: bytes
    value: bytes
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    def __init__(self, topic: _Optional[str] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class CommitStepRequest(_message.Message):
    __slots__ = ("transactional_id", "epoch", "records", "group", "offsets")
    TRANSACTIONAL_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    transactional_id: str
    epoch: int
    records: _containers.RepeatedCompositeFieldContainer[LogRecord]
    group: str
    offsets: _containers.RepeatedCompositeFieldContainer[_common_pb2.Coordinate]
    def __init__(self, transactional_id: _Optional[str] = ..., epoch: _Optional[int] = ..., records: _Optional[_Iterable[_Union[LogRecord, _Mapping]]] = ..., group: _Optional[str] = ..., offsets: _Optional[_Iterable[_Union[_common_pb2.Coordinate, _Mapping]]] = ...) -> None: ...

class CommitStepResponse(_message.Message):
    __slots__ = ("coordinates",)
    COORDINATES_FIELD_NUMBER: _ClassVar[int]
    coordinates: _containers.RepeatedCompositeFieldContainer[_common_pb2.Coordinate]
    def __init__(self, coordinates: _Optional[_Iterable[_Union[_common_pb2.Coordinate, _Mapping]]] = ...) -> None: ...

class BeginEpochRequest(_message.Message):
    __slots__ = ("transactional_id",)
    TRANSACTIONAL_ID_FIELD_NUMBER: _ClassVar[int]
    transactional_id: str
    def __init__(self, transactional_id: _Optional[str] = ...) -> None: ...

class BeginEpochResponse(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...
