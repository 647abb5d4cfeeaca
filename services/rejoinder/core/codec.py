"""Between dataclasses and protobuf: the only file that knows both.

Fields are matched by name, so a field added to a proto and to its dataclass needs no line here, and a test holds the
two sets equal. Times are rounded to microseconds, which is what the canonical form keeps. Equality of events and every
digest are of that form (`canonical`), never of message bytes: protobuf promises no stable bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeVar, cast

from google.protobuf.message import DecodeError
from google.protobuf.message import Message as ProtoMessage

from rejoinder.core import arms, types
from rejoinder.core.compiled import enum_prefix, plainer, reader, teller, writer
from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.core.ids import digest_of_text
from rejoinder.v1 import common_pb2, events_pb2

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

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
    types.EvidenceReference: events_pb2.EvidenceReference,
    types.RoundEvent: events_pb2.RoundEvent,
    types.Erasure: events_pb2.Erasure,
    arms.ArmsTable: events_pb2.ArmsTable,
    arms.Version: events_pb2.ArmsVersion,
    arms.Salts: events_pb2.ArmsSalts,
    arms.Step: events_pb2.ArmsStep,
    arms.Lease: events_pb2.CanaryLease,
    types.DeadLetter: events_pb2.DeadLetter,
}


def enum_to_number(descriptor: Any, value: StrEnum) -> int:
    return descriptor.values_by_name[enum_prefix(descriptor) + value.value].number


def enum_from_number(descriptor: Any, cls: type[E], number: int, field: str) -> E:
    known = descriptor.values_by_number.get(number)
    if known is None:
        raise UnknownEnum(field, number)
    return cls(known.name.removeprefix(enum_prefix(descriptor)))


def to_proto(value: Any, message: ProtoMessage | None = None) -> Any:
    """The message of a dataclass; `message`, empty, where it has another."""
    out = message if message is not None else MESSAGES[type(value)]()
    writer(type(value), out.DESCRIPTOR)(value, out)
    return out


def from_proto(message: ProtoMessage, cls: type[T]) -> T:
    """The dataclass of a message. Raises UnknownEnum for a number this version does not know, BadEncoding for a time
    beyond all years."""
    return cast(T, reader(cls, message.DESCRIPTOR)(message))


def encode(value: Any) -> bytes:
    """The bytes that lie on the log."""
    return cast(bytes, to_proto(value).SerializeToString())


def decode(data: bytes, cls: type[T]) -> T:
    """A value from the log. Raises BadEncoding for bytes that are no such message."""
    message = MESSAGES[cls]()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise BadEncoding(f"the bytes are no {cls.__name__}", type=cls.__name__, size=len(data)) from None
    return from_proto(message, cls)


def canonical(event: Any) -> dict[str, Any]:
    """A JSON value that is equal for equal events: unset fields left out, times in microseconds, no stamped field."""
    return plainer(type(event))(event)


def body_digest(event: Any) -> str:
    """SHA-256 (hex) over what the caller said: two events under one id are the same event iff these are equal."""
    return digest_of_text(teller(type(event))(event))
