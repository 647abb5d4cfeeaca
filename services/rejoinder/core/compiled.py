"""Straight-line functions between one dataclass and one message, written once for the two and kept, as dataclasses
write their own `__init__`: a loop that asks descriptors about every field took three to five times as long, for every
event. `codec.py` has what they promise.
"""

from __future__ import annotations

import dataclasses
import types as pytypes
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from json.encoder import encode_basestring as _text
from math import isfinite
from typing import Any, ParamSpec, TypeGuard, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from rejoinder.core import types
from rejoinder.core.errors import BadEncoding, UnknownEnum
from rejoinder.core.ids import canonical_json

#: What a service stamps, so what is no part of an event's identity.
STAMPED = frozenset({"accepted_at", "principal"})

#: Canonical in microseconds.
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
_STAMPS = frozenset({Timestamp.DESCRIPTOR.full_name, Duration.DESCRIPTOR.full_name})
#: 1970-01-01 to 9999-12-31, where both kinds of time are plain numbers; beyond it protobuf's own rules are asked.
_LATEST_S = 253_402_300_799


def fields(cls: type) -> dict[str, Any]:
    """Field name → the type to build, optionals unwrapped."""
    hints = typing.get_type_hints(cls)
    return {f.name: _unwrap(hints[f.name]) for f in dataclasses.fields(cls)}


def _unwrap(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, pytypes.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return inner[0] if len(inner) == 1 else tuple(inner)
    return hint


def micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


P = ParamSpec("P")
R = TypeVar("R")


def kept(make: Callable[P, R]) -> Callable[P, R]:
    """`functools.cache` of what is made of classes and descriptors alone, with the types of its parameters."""
    # typeshed asks for Hashable, which it takes a class of dataclasses not to be.
    return cache(make)  # type: ignore[return-value]


def is_part(hint: Any) -> TypeGuard[type[Any]]:
    """Whether a field holds a dataclass of its own."""
    return dataclasses.is_dataclass(hint)


@kept
def enum_prefix(descriptor: Any) -> str:
    return str(descriptor.values[0].name.removesuffix("UNSPECIFIED"))


@kept
def reader(cls: type, descriptor: Any) -> Callable[[Message], Any]:
    """message → dataclass. Raises UnknownEnum, BadEncoding."""
    known: dict[str, Any] = {"cls": cls, "new": object.__new__, "seconds": _seconds, "unknown": _unknown}
    values = {name: _read(cls, name, hint, descriptor, known) for name, hint in fields(cls).items()}
    if hasattr(cls, "__post_init__"):
        return made("read(m)", [f"return cls({', '.join(values.values())})"], known)
    # A frozen class sets its fields one call each: a third of what reading an event took.
    lines = ["out = new(cls)", "d = out.__dict__", *(f"d[{name!r}] = {value}" for name, value in values.items())]
    return made("read(m)", [*lines, "return out"], known)


def _read(cls: type, name: str, hint: Any, descriptor: Any, known: dict[str, Any]) -> str:
    """The expression of one field's value."""
    if _is_kind(cls, name):
        known["read_kind"] = _kind_reader(descriptor)
        return "read_kind(m)"
    field = descriptor.fields_by_name[name]
    if field.is_repeated:
        if not is_part(hint := typing.get_args(hint)[0]):
            return f"tuple(m.{name})"
        known[f"read_{name}"] = reader(hint, field.message_type)
        return f"tuple([read_{name}(each) for each in m.{name}])"
    if field.message_type is not None:
        if field.message_type.full_name in _STAMPS:
            return f"seconds(m.{name}, {name!r}) if m.HasField({name!r}) else None"
        known[f"read_{name}"] = reader(hint, field.message_type)
        return f"read_{name}(m.{name}) if m.HasField({name!r}) else None"
    if field.enum_type is not None:
        prefix = enum_prefix(field.enum_type)
        known[f"of_{name}"] = {v.number: hint(v.name.removeprefix(prefix)) for v in field.enum_type.values}
        return f"of_{name}.get(m.{name}) or unknown({name!r}, m.{name})"
    return f"m.{name} if m.HasField({name!r}) else None" if field.containing_oneof is not None else f"m.{name}"


def _kind_reader(descriptor: Any) -> Callable[[Message], Any]:
    readers = {name: reader(cls, descriptor.fields_by_name[name].message_type) for name, cls in types.KINDS.items()}

    def read_kind(message: Message) -> Any:
        which = message.WhichOneof("kind")
        return None if which is None else readers[which](getattr(message, which))

    return read_kind


@kept
def writer(cls: type, descriptor: Any) -> Callable[[Any, Message], None]:
    """(dataclass, empty message): fills the message."""
    known: dict[str, Any] = {"stamp": _stamp}
    lines: list[str] = []
    for name, hint in fields(cls).items():
        lines += _write(cls, name, hint, descriptor, known)
    return made("write(v, m)", lines or ["pass"], known)


def _write(cls: type, name: str, hint: Any, descriptor: Any, known: dict[str, Any]) -> list[str]:
    """The statements of one field. What is unset in proto3 anyway is passed over, but for floats: -0.0 is a value."""
    if _is_kind(cls, name):
        known["write_kind"] = _kind_writer(descriptor)
        return ["if v.kind is not None: write_kind(v.kind, m)"]
    field = descriptor.fields_by_name[name]
    if field.is_repeated:
        if not is_part(hint := typing.get_args(hint)[0]):
            return [f"if v.{name}: m.{name}.extend(v.{name})"]
        known[f"write_{name}"] = writer(hint, field.message_type)
        return [f"for each in v.{name}: write_{name}(each, m.{name}.add())"]
    if field.message_type is not None:
        if field.message_type.full_name in _STAMPS:
            return [f"if v.{name} is not None: stamp(m.{name}, v.{name})"]
        known[f"write_{name}"] = writer(hint, field.message_type)
        return [f"if v.{name} is not None:", f"  m.{name}.SetInParent()", f"  write_{name}(v.{name}, m.{name})"]
    if field.enum_type is not None:
        prefix = enum_prefix(field.enum_type)
        known[f"of_{name}"] = {v.name.removeprefix(prefix): v.number for v in field.enum_type.values}
        return [f"if v.{name} is not None: m.{name} = of_{name}[v.{name}]"]
    if field.containing_oneof is not None or hint is float:
        return [f"if v.{name} is not None: m.{name} = v.{name}"]
    return [f"if v.{name}: m.{name} = v.{name}"]


def _kind_writer(descriptor: Any) -> Callable[[Any, Message], None]:
    writers = {
        cls: (name, writer(cls, descriptor.fields_by_name[name].message_type)) for name, cls in types.KINDS.items()
    }

    def write_kind(kind: Any, message: Message) -> None:
        name, write = writers[type(kind)]
        part = getattr(message, name)
        part.SetInParent()
        write(kind, part)

    return write_kind


@kept
def plainer(cls: type) -> Callable[[Any], dict[str, Any]]:
    """dataclass → the JSON object of its canonical form."""
    known: dict[str, Any] = {"micros": micros}
    lines = ["out = {}"]
    for field in dataclasses.fields(cls):
        if field.name not in STAMPED:
            lines += _plain(cls, field, fields(cls)[field.name], known)
    return made("plain(v)", [*lines, "return out"], known)


def _plain(cls: type, field: dataclasses.Field[Any], hint: Any, known: dict[str, Any]) -> list[str]:
    name = field.name
    if _is_kind(cls, name):
        known["plain_kind"] = {each: (key, plainer(each)) for key, each in types.KINDS.items()}
        return ["if v.kind is not None:", "  key, plain = plain_kind[type(v.kind)]", "  out[key] = plain(v.kind)"]
    return [f"if {_is_said(field, known)}: out[{name!r}] = {_plain_value(name, hint, known)}"]


def _plain_value(name: str, hint: Any, known: dict[str, Any]) -> str:
    value = f"v.{name}"
    if name in _TIMES:
        return f"micros({value})"
    if typing.get_origin(hint) is tuple:
        if not is_part(inner := typing.get_args(hint)[0]):
            return f"list({value})"
        known[f"plain_{name}"] = plainer(inner)
        return f"[plain_{name}(each) for each in {value}]"
    if is_part(hint):
        known[f"plain_{name}"] = plainer(hint)
        return f"plain_{name}({value})"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return f"{value}.value"
    return f"{value}.hex()" if hint is bytes else value


@kept
def teller(cls: type) -> Callable[[Any], str]:
    """dataclass → the text of its canonical form: that of `plainer`, as JSON with sorted keys and no spaces."""
    known: dict[str, Any] = {
        "text": _text,
        "micros": micros,
        "number": _number,
        "json": canonical_json,
        "join": ",".join,
    }
    lines = ["out = []"]
    for field in sorted(dataclasses.fields(cls), key=lambda each: each.name):
        if field.name not in STAMPED:
            lines += _told(cls, field, fields(cls)[field.name], known)
    # A kind stands under its own name, so among the others.
    lines += ["out.sort()"] if cls is types.Feedback else []
    return made("tell(v)", [*lines, "return '{' + join(out) + '}'"], known)


def _told(cls: type, field: dataclasses.Field[Any], hint: Any, known: dict[str, Any]) -> list[str]:
    name = field.name
    if _is_kind(cls, name):
        known["tell_kind"] = {each: (f'"{key}":', teller(each)) for key, each in types.KINDS.items()}
        return ["if v.kind is not None:", "  key, tell = tell_kind[type(v.kind)]", "  out.append(key + tell(v.kind))"]
    value, key = _plain_value(name, hint, known), f'"{name}":'
    if name in _TIMES:
        value = f"str({value})"
    elif hint is str or (isinstance(hint, type) and issubclass(hint, StrEnum)):
        value = f"text({value})"
    elif hint is float or hint is int:
        value = f"number({value})"
    else:
        value = f"json({value})"
    return [f"if {_is_said(field, known)}: out.append({key!r} + {value})"]


def _number(value: Any) -> str:
    return repr(value) if type(value) is int or (type(value) is float and isfinite(value)) else canonical_json(value)


def _is_said(field: dataclasses.Field[Any], known: dict[str, Any]) -> str:
    """The condition under which a field is in the canonical form: it is set, to something else than its default."""
    value, default = f"v.{field.name}", field.default
    if field.name in _TIMES or default is None or default is dataclasses.MISSING:
        return f"{value} is not None"
    if not default:
        # "", 0, 0.0, False, b"", (): None is no more said than they are.
        return value
    known[f"default_{field.name}"] = default
    return f"{value} is not None and {value} != default_{field.name}"


def _is_kind(cls: type, name: str) -> bool:
    return name == "kind" and cls is types.Feedback


def made(head: str, lines: Sequence[str], known: Mapping[str, Any]) -> Any:
    """The function of this head and these lines, over the names in `known`. All of it is text of ours and field names,
    never something that was received."""
    space = dict(known)
    exec(f"def {head}:\n" + "\n".join(f" {line}" for line in lines), space)
    return space[head.partition("(")[0]]


def _unknown(field: str, number: int) -> None:
    raise UnknownEnum(field, number)


def _seconds(item: Any, field: str) -> float:
    whole, nanos = item.seconds, item.nanos
    if 0 <= whole <= _LATEST_S and 0 <= nanos < 1_000_000_000:
        return (whole * 1_000_000 + nanos // 1000) / 1_000_000
    try:
        return float(item.ToMicroseconds() / 1_000_000)
    except ValueError:
        raise BadEncoding(f"{field} lies beyond what a time can be", field=field) from None


def _stamp(item: Any, seconds: float) -> None:
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    if 0 < whole <= _LATEST_S:
        item.seconds, item.nanos = whole, rest * 1000
    else:
        item.FromMicroseconds(micros(seconds))
