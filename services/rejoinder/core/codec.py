"""Between dataclasses and protobuf: the only file that knows both.

Fields are matched by name, so a field added to a proto and to its dataclass needs no line here, and a test holds the
two sets equal. Times are rounded to microseconds, which is what the canonical form keeps. Equality of events and every
digest are of that form (`canonical`), never of message bytes: protobuf promises no stable bytes.
"""

from __future__ import annotations

import dataclasses
import types as pytypes
import typing
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage
from google.protobuf.timestamp_pb2 import Timestamp

from rejoinder.core import arms, types
from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.core.ids import digest_of
from rejoinder.v1 import common_pb2, events_pb2

T = TypeVar("T")

#: Each dataclass and its message.
MESSAGES: dict[type, type[ProtoMessage]] = {
    types.Coordinate: common_pb2.Coordinate,
    types.Message: common_pb2.Message,
    types.Served: common_pb2.Served,
    types.Sampling: common_pb2.Sampling,
    types.RankedCandidate: events_pb2.RankedCandidate,
    types.Ranking: events_pb2.Ranking,
    types.Interaction: events_pb2.Interaction,
    types.Feedback: events_pb2.Feedback,
    types.FollowUp: events_pb2.FollowUp,
    types.Rating: events_pb2.Rating,
    types.Comment: events_pb2.Comment,
    types.Edit: events_pb2.Edit,
    types.Comparison: events_pb2.Comparison,
    types.Click: events_pb2.Click,
    types.Copy: events_pb2.Copy,
    types.Regenerate: events_pb2.Regenerate,
    types.Abandon: events_pb2.Abandon,
    types.Outcome: events_pb2.Outcome,
    types.Reason: events_pb2.Reason,
    types.Signal: events_pb2.Signal,
    types.RoundEvent: events_pb2.RoundEvent,
    types.Erasure: events_pb2.Erasure,
    arms.ArmsTable: events_pb2.ArmsTable,
    arms.Version: events_pb2.ArmsVersion,
    arms.Salts: events_pb2.ArmsSalts,
    arms.Step: events_pb2.ArmsStep,
    arms.Lease: events_pb2.CanaryLease,
    types.DeadLetter: events_pb2.DeadLetter,
}

#: What a service stamps, so what is no part of an event's identity.
STAMPED = frozenset({"accepted_at", "principal"})


@cache
def _fields(cls: type) -> dict[str, Any]:
    """Field name → the type to build, optionals unwrapped."""
    hints = typing.get_type_hints(cls)
    return {f.name: _unwrap(hints[f.name]) for f in dataclasses.fields(cls)}


def _unwrap(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, pytypes.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return inner[0] if len(inner) == 1 else tuple(inner)
    return hint


@cache
def _enum_prefix(descriptor: Any) -> str:
    return descriptor.values[0].name.removesuffix("UNSPECIFIED")


def enum_to_number(descriptor: Any, value: StrEnum) -> int:
    return descriptor.values_by_name[_enum_prefix(descriptor) + value.value].number


def enum_from_number(descriptor: Any, cls: type[StrEnum], number: int, field: str) -> StrEnum:
    known = descriptor.values_by_number.get(number)
    if known is None:
        raise UnknownEnum(field, number)
    return cls(known.name.removeprefix(_enum_prefix(descriptor)))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def to_proto(value: Any, message: ProtoMessage | None = None) -> Any:
    """The message of a dataclass."""
    out = message if message is not None else MESSAGES[type(value)]()
    for name in _fields(type(value)):
        item = getattr(value, name)
        if name == "kind" and isinstance(value, types.Feedback):
            if item is not None:
                part = getattr(out, value.kind_name)
                part.SetInParent()
                to_proto(item, part)
            continue
        if item is None:
            continue
        field = out.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            target = getattr(out, name)
            target.extend([to_proto(i) if dataclasses.is_dataclass(i) else i for i in item])
        elif field.message_type is not None:
            target = getattr(out, name)
            if isinstance(target, (Timestamp, Duration)):
                target.FromMicroseconds(_micros(item))
            else:
                target.SetInParent()
                to_proto(item, target)
        elif field.enum_type is not None:
            setattr(out, name, enum_to_number(field.enum_type, item))
        else:
            setattr(out, name, item)
    return out


def from_proto(message: ProtoMessage, cls: type[T]) -> T:
    """The dataclass of a message. Raises UnknownEnum for a number this version does not know."""
    values: dict[str, Any] = {}
    for name, hint in _fields(cls).items():
        if name == "kind" and cls is types.Feedback:
            which = message.WhichOneof("kind")
            values[name] = from_proto(getattr(message, which), types.KINDS[which]) if which else None
            continue
        field = message.DESCRIPTOR.fields_by_name[name]
        item = getattr(message, name)
        if field.is_repeated:
            inner = typing.get_args(hint)[0]
            values[name] = tuple(from_proto(i, inner) if dataclasses.is_dataclass(inner) else i for i in item)
        elif field.message_type is not None:
            if not message.HasField(name):
                values[name] = None
            elif isinstance(item, (Timestamp, Duration)):
                values[name] = _seconds(item, name)
            else:
                values[name] = from_proto(item, hint)
        elif field.enum_type is not None:
            values[name] = enum_from_number(field.enum_type, hint, item, name)
        elif field.containing_oneof is not None and not message.HasField(name):
            values[name] = None
        else:
            values[name] = item
    return cls(**values)


def _seconds(item: Timestamp | Duration, field: str) -> float:
    try:
        return item.ToMicroseconds() / 1_000_000
    except ValueError:
        raise BadEncoding(f"{field} lies beyond what a time can be", field=field) from None


def encode(value: Any) -> bytes:
    """The bytes that lie on the log."""
    return to_proto(value).SerializeToString(deterministic=True)


def decode(data: bytes, cls: type[T]) -> T:
    """A value from the log. Raises BadEncoding for bytes that are no such message."""
    message = MESSAGES[cls]()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadEncoding(f"the bytes are no {cls.__name__}", type=cls.__name__, size=len(data)) from None
    return from_proto(message, cls)


def canonical(value: Any, leave_out: frozenset[str] = STAMPED) -> Any:
    """A JSON value that is equal for equal events: unset fields left out, times in microseconds, no stamped field."""
    if isinstance(value, StrEnum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _canonical_fields(value, leave_out)
    if isinstance(value, tuple):
        return [canonical(item, leave_out) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): canonical(item, leave_out) for key, item in value.items()}
    return value


_TIMES = frozenset(
    {
        "occurred_at",
        "accepted_at",
        "conversation_started_at",
        "erased_at",
        "grace",
        "latency",
        "time_to_first_token",
        "after",
    }
)


def _canonical_fields(value: Any, leave_out: frozenset[str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if f.name in leave_out or item is None:
            continue
        if f.name == "kind" and isinstance(value, types.Feedback):
            out[value.kind_name] = canonical(item, leave_out)
        elif f.name in _TIMES:
            out[f.name] = _micros(item)
        elif item != f.default or f.default is dataclasses.MISSING:
            out[f.name] = canonical(item, leave_out)
    return out


def body_digest(event: Any) -> str:
    """SHA-256 (hex) over what the caller said: two events under one id are the same event iff these are equal."""
    return digest_of(canonical(event))
