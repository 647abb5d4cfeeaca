import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_BETTER: _ClassVar[Verdict]
    VERDICT_WORSE: _ClassVar[Verdict]
    VERDICT_INCONCLUSIVE: _ClassVar[Verdict]
    VERDICT_UNMEASURED: _ClassVar[Verdict]
VERDICT_UNSPECIFIED: Verdict
VERDICT_BETTER: Verdict
VERDICT_WORSE: Verdict
VERDICT_INCONCLUSIVE: Verdict
VERDICT_UNMEASURED: Verdict

class GetRolloutRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class GetTrailRequest(_message.Message):
    __slots__ = ("policy",)
    POLICY_FIELD_NUMBER: _ClassVar[int]
    policy: str
    def __init__(self, policy: _Optional[str] = ...) -> None: ...

class TrailPoint(_message.Message):
    __slots__ = ("at", "weight", "verdict", "difference", "low", "high", "judged_canary", "judged_stable")
    AT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    JUDGED_CANARY_FIELD_NUMBER: _ClassVar[int]
    JUDGED_STABLE_FIELD_NUMBER: _ClassVar[int]
    at: _timestamp_pb2.Timestamp
    weight: float
    verdict: Verdict
    difference: float
    low: float
    high: float
    judged_canary: int
    judged_stable: int
    def __init__(self, at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., weight: _Optional[float] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., difference: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., judged_canary: _Optional[int] = ..., judged_stable: _Optional[int] = ...) -> None: ...

class GetTrailResponse(_message.Message):
    __slots__ = ("points",)
    POINTS_FIELD_NUMBER: _ClassVar[int]
    points: _containers.RepeatedCompositeFieldContainer[TrailPoint]
    def __init__(self, points: _Optional[_Iterable[_Union[TrailPoint, _Mapping]]] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ("policy", "version", "plan")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    policy: str
    version: str
    plan: str
    def __init__(self, policy: _Optional[str] = ..., version: _Optional[str] = ..., plan: _Optional[str] = ...) -> None: ...

class PromoteRequest(_message.Message):
    __slots__ = ("policy", "generation")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    policy: str
    generation: int
    def __init__(self, policy: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("policy", "generation")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    policy: str
    generation: int
    def __init__(self, policy: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class FreezeRequest(_message.Message):
    __slots__ = ("policy", "generation", "frozen")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    policy: str
    generation: int
    frozen: bool
    def __init__(self, policy: _Optional[str] = ..., generation: _Optional[int] = ..., frozen: _Optional[bool] = ...) -> None: ...

class ArmFigures(_message.Message):
    __slots__ = ("units", "judged", "mean", "reply_rate", "low", "high")
    UNITS_FIELD_NUMBER: _ClassVar[int]
    JUDGED_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    REPLY_RATE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    units: int
    judged: int
    mean: float
    reply_rate: float
    low: float
    high: float
    def __init__(self, units: _Optional[int] = ..., judged: _Optional[int] = ..., mean: _Optional[float] = ..., reply_rate: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Hop(_message.Message):
    __slots__ = ("units", "canary", "expected_canary", "e")
    UNITS_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_CANARY_FIELD_NUMBER: _ClassVar[int]
    E_FIELD_NUMBER: _ClassVar[int]
    units: int
    canary: int
    expected_canary: float
    e: float
    def __init__(self, units: _Optional[int] = ..., canary: _Optional[int] = ..., expected_canary: _Optional[float] = ..., e: _Optional[float] = ...) -> None: ...

class VetoArm(_message.Message):
    __slots__ = ("units", "harm", "unread")
    UNITS_FIELD_NUMBER: _ClassVar[int]
    HARM_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELD_NUMBER: _ClassVar[int]
    units: int
    harm: float
    unread: int
    def __init__(self, units: _Optional[int] = ..., harm: _Optional[float] = ..., unread: _Optional[int] = ...) -> None: ...

class VetoFigures(_message.Message):
    __slots__ = ("name", "e", "e_needed", "fired", "measured", "stable", "canary")
    NAME_FIELD_NUMBER: _ClassVar[int]
    E_FIELD_NUMBER: _ClassVar[int]
    E_NEEDED_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    name: str
    e: float
    e_needed: float
    fired: bool
    measured: bool
    stable: VetoArm
    canary: VetoArm
    def __init__(self, name: _Optional[str] = ..., e: _Optional[float] = ..., e_needed: _Optional[float] = ..., fired: _Optional[bool] = ..., measured: _Optional[bool] = ..., stable: _Optional[_Union[VetoArm, _Mapping]] = ..., canary: _Optional[_Union[VetoArm, _Mapping]] = ...) -> None: ...

class NormFigures(_message.Message):
    __slots__ = ("id", "severity", "stable_applied", "stable_broken", "canary_applied", "canary_broken")
    ID_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STABLE_APPLIED_FIELD_NUMBER: _ClassVar[int]
    STABLE_BROKEN_FIELD_NUMBER: _ClassVar[int]
    CANARY_APPLIED_FIELD_NUMBER: _ClassVar[int]
    CANARY_BROKEN_FIELD_NUMBER: _ClassVar[int]
    id: str
    severity: str
    stable_applied: int
    stable_broken: int
    canary_applied: int
    canary_broken: int
    def __init__(self, id: _Optional[str] = ..., severity: _Optional[str] = ..., stable_applied: _Optional[int] = ..., stable_broken: _Optional[int] = ..., canary_applied: _Optional[int] = ..., canary_broken: _Optional[int] = ...) -> None: ...

class ShadowVeto(_message.Message):
    __slots__ = ("name", "e", "e_needed", "fired", "pairs", "stable", "canary", "measured")
    NAME_FIELD_NUMBER: _ClassVar[int]
    E_FIELD_NUMBER: _ClassVar[int]
    E_NEEDED_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    name: str
    e: float
    e_needed: float
    fired: bool
    pairs: int
    stable: int
    canary: int
    measured: bool
    def __init__(self, name: _Optional[str] = ..., e: _Optional[float] = ..., e_needed: _Optional[float] = ..., fired: _Optional[bool] = ..., pairs: _Optional[int] = ..., stable: _Optional[int] = ..., canary: _Optional[int] = ..., measured: _Optional[bool] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("began_at", "ends_at", "pairs", "min_pairs", "vetoes", "dropped", "stable_tokens", "canary_tokens")
    BEGAN_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_AT_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    MIN_PAIRS_FIELD_NUMBER: _ClassVar[int]
    VETOES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    STABLE_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CANARY_TOKENS_FIELD_NUMBER: _ClassVar[int]
    began_at: _timestamp_pb2.Timestamp
    ends_at: _timestamp_pb2.Timestamp
    pairs: int
    min_pairs: int
    vetoes: _containers.RepeatedCompositeFieldContainer[ShadowVeto]
    dropped: int
    stable_tokens: float
    canary_tokens: float
    def __init__(self, began_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pairs: _Optional[int] = ..., min_pairs: _Optional[int] = ..., vetoes: _Optional[_Iterable[_Union[ShadowVeto, _Mapping]]] = ..., dropped: _Optional[int] = ..., stable_tokens: _Optional[float] = ..., canary_tokens: _Optional[float] = ...) -> None: ...

class GetRolloutResponse(_message.Message):
    __slots__ = ("policy", "term", "generation", "phase", "stable_version", "canary_version", "weight", "verdict", "reasons", "difference", "low", "high", "judged_canary", "judged_stable", "judged_needed", "expected_at", "held", "reason", "stable", "canary", "step", "e_worse", "e_better", "e_ni", "e_needed", "assigned", "matured", "vetoes", "charter", "charter_version", "norms", "shadow")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    TERM_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    STABLE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CANARY_VERSION_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    JUDGED_CANARY_FIELD_NUMBER: _ClassVar[int]
    JUDGED_STABLE_FIELD_NUMBER: _ClassVar[int]
    JUDGED_NEEDED_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_AT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STABLE_FIELD_NUMBER: _ClassVar[int]
    CANARY_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    E_WORSE_FIELD_NUMBER: _ClassVar[int]
    E_BETTER_FIELD_NUMBER: _ClassVar[int]
    E_NI_FIELD_NUMBER: _ClassVar[int]
    E_NEEDED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    MATURED_FIELD_NUMBER: _ClassVar[int]
    VETOES_FIELD_NUMBER: _ClassVar[int]
    CHARTER_FIELD_NUMBER: _ClassVar[int]
    CHARTER_VERSION_FIELD_NUMBER: _ClassVar[int]
    NORMS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    policy: str
    term: int
    generation: int
    phase: str
    stable_version: str
    canary_version: str
    weight: float
    verdict: Verdict
    reasons: _containers.RepeatedScalarFieldContainer[str]
    difference: float
    low: float
    high: float
    judged_canary: int
    judged_stable: int
    judged_needed: int
    expected_at: _timestamp_pb2.Timestamp
    held: str
    reason: str
    stable: ArmFigures
    canary: ArmFigures
    step: int
    e_worse: float
    e_better: float
    e_ni: float
    e_needed: float
    assigned: Hop
    matured: Hop
    vetoes: _containers.RepeatedCompositeFieldContainer[VetoFigures]
    charter: str
    charter_version: str
    norms: _containers.RepeatedCompositeFieldContainer[NormFigures]
    shadow: Shadow
    def __init__(self, policy: _Optional[str] = ..., term: _Optional[int] = ..., generation: _Optional[int] = ..., phase: _Optional[str] = ..., stable_version: _Optional[str] = ..., canary_version: _Optional[str] = ..., weight: _Optional[float] = ..., verdict: _Optional[_Union[Verdict, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., difference: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., judged_canary: _Optional[int] = ..., judged_stable: _Optional[int] = ..., judged_needed: _Optional[int] = ..., expected_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., held: _Optional[str] = ..., reason: _Optional[str] = ..., stable: _Optional[_Union[ArmFigures, _Mapping]] = ..., canary: _Optional[_Union[ArmFigures, _Mapping]] = ..., step: _Optional[int] = ..., e_worse: _Optional[float] = ..., e_better: _Optional[float] = ..., e_ni: _Optional[float] = ..., e_needed: _Optional[float] = ..., assigned: _Optional[_Union[Hop, _Mapping]] = ..., matured: _Optional[_Union[Hop, _Mapping]] = ..., vetoes: _Optional[_Iterable[_Union[VetoFigures, _Mapping]]] = ..., charter: _Optional[str] = ..., charter_version: _Optional[str] = ..., norms: _Optional[_Iterable[_Union[NormFigures, _Mapping]]] = ..., shadow: _Optional[_Union[Shadow, _Mapping]] = ...) -> None: ...
