from rejoinder.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreRequest(_message.Message):
    __slots__ = ("head", "messages", "responses")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    RESPONSES_FIELD_NUMBER: _ClassVar[int]
    head: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    responses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, head: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., responses: _Optional[_Iterable[str]] = ...) -> None: ...

class ScoreResponse(_message.Message):
    __slots__ = ("scores", "head", "digest")
    SCORES_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    scores: _containers.RepeatedScalarFieldContainer[float]
    head: str
    digest: str
    def __init__(self, scores: _Optional[_Iterable[float]] = ..., head: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class CompareRequest(_message.Message):
    __slots__ = ("head", "messages", "a", "b")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    A_FIELD_NUMBER: _ClassVar[int]
    B_FIELD_NUMBER: _ClassVar[int]
    head: str
    messages: _containers.RepeatedCompositeFieldContainer[_common_pb2.Message]
    a: str
    b: str
    def __init__(self, head: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_common_pb2.Message, _Mapping]]] = ..., a: _Optional[str] = ..., b: _Optional[str] = ...) -> None: ...

class CompareResponse(_message.Message):
    __slots__ = ("probability_a", "head", "digest")
    PROBABILITY_A_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    probability_a: float
    head: str
    digest: str
    def __init__(self, probability_a: _Optional[float] = ..., head: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class ListHeadsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Head(_message.Message):
    __slots__ = ("name", "digest", "shape", "default_head")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_HEAD_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    shape: str
    default_head: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., shape: _Optional[str] = ..., default_head: _Optional[bool] = ...) -> None: ...

class ListHeadsResponse(_message.Message):
    __slots__ = ("heads",)
    HEADS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedCompositeFieldContainer[Head]
    def __init__(self, heads: _Optional[_Iterable[_Union[Head, _Mapping]]] = ...) -> None: ...
