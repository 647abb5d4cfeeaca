"""Frozen dataclasses from plain values, as JSON or YAML has them: every type is checked before anything is done."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def make(cls: type[T], values: Any) -> T:
    """An instance. A list becomes the tuple that its field is; a whole number may stand for a float and is left one.

    Raises TypeError with the field's name where one is unknown, missing, or of another type, NaN among them; and what
    the class itself raises. A field whose type is none of those that plain values have is taken as it comes.
    """
    if not isinstance(values, Mapping):
        raise TypeError("must be a mapping")
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    known = [field.name for field in fields if field.init]
    unknown = sorted(map(str, set(values) - set(known)))
    if unknown:
        raise TypeError(f"unknown {', '.join(unknown)}; known: {', '.join(known) or 'none'}")
    missing = [f.name for f in fields if f.init and f.name not in values and _required(f)]
    if missing:
        raise TypeError(f"{', '.join(missing)} is missing")
    hints = typing.get_type_hints(cls)
    return cls(**{name: _checked(name, value, hints[name]) for name, value in values.items()})


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _checked(name: str, value: Any, hint: Any) -> Any:
    """The value as its field has it. Raises TypeError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _any_of(name, value, arguments)
    if hint is float:
        # A NaN is unequal to itself; asking a whole number of any length would fail.
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    elif hint in (str, bool, type(None)) or dataclasses.is_dataclass(hint):
        fits = isinstance(value, hint)
    elif origin is tuple:
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            each = [arguments[0]] * len(value) if arguments[-1] is ... else arguments
            if len(each) == len(value):
                return tuple(_checked(name, item, one) for item, one in zip(value, each, strict=True))
        fits = False
    elif origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        fits = isinstance(value, Mapping)
    else:
        fits = True
    if not fits:
        raise TypeError(f"{name} must be {_called(hint)}")
    return value


def _any_of(name: str, value: Any, hints: Sequence[Any]) -> Any:
    for hint in hints:
        try:
            return _checked(name, value, hint)
        except TypeError:
            continue
    raise TypeError(f"{name} must be {' or '.join(_called(hint) for hint in hints)}")


def _called(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list of " + ", ".join(_called(one) for one in typing.get_args(hint) if one is not ...)
    if typing.get_origin(hint) is not None:
        return "a mapping"
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false", type(None): "nothing"}
    return names.get(hint, getattr(hint, "__name__", str(hint)))
