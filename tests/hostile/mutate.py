"""Inputs that nobody means: values swapped for nasty ones inside a valid message or document, then bytes damaged.

Everything follows from the generator it is given, so a seed and a number name an input.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import yaml
from google.protobuf.message import Message

WORDS = (
    "",
    " ",
    "a",
    "\x00",
    "a\nlevel=error event=forged",
    "\u202eevil",
    "\ufeff",
    "../../etc/passwd",
    "'; DROP TABLE interactions; --",
    "%s%n{0}{topic}",
    "\U0001f9ff" * 300,
    "x" * 257,
    "x" * 70_000,
    "é" * 131_073,
    "default",
    "assist",
    "NaN",
)
WHOLE = (0, 1, -1, 2, 1000, 1001, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63), 2**64 - 1)
REAL = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 0.5)
VALUES = (None, True, False, [], {}, [[]], {"": ""}, "x", 0, -1, 1e308, float("nan"), 2**80, ["x"], {"a": {"a": 1}})
#: Lines that YAML gives a meaning of its own.
LINES = (
    "? [a, b]\n: c",
    "&a [*a]",
    "&a {k: *a}",
    "2024-99-99",
    "!!python/object/apply:os.system [id]",
    "!!binary '='",
    "!!timestamp x",
    "!!int x",
    "{<<: 1}",
    "[" * 3000,
    "1e9999",
    ".nan",
    "{1: 2}",
    "{null: x}",
    "0x",
    "\t- x",
    "---\n...",
)


def message(rng: random.Random, seed: Message) -> bytes:
    """A message near `seed`, as bytes that need not be a message."""
    made = copy.deepcopy(seed)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _swap_field(rng, made)
    data = made.SerializeToString()
    return data if rng.random() < 0.75 else damaged(rng, data)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bits flipped, a part cut out, doubled, replaced, or the end cut off."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        to = min(len(data), at + rng.choice((1, 1, 2, 8, 64)))
        change = rng.randrange(5)
        if change == 0 and data:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif change == 1:
            data = data[:at] + data[to:]
        elif change == 2:
            data = data[:to] + data[at:]
        elif change == 3:
            data = data[:at] + rng.randbytes(to - at) + data[to:]
        else:
            data = data[:at]
    return data


def json_lines(rng: random.Random, seeds: Sequence[Any]) -> bytes:
    """A JSON Lines file near the values of `seeds`, as bytes."""
    values = [rng.choice(seeds) for _ in range(rng.choice((1, 1, 2)))]
    lines = [json.dumps(swapped(rng, value)) for value in values]
    data = "\n".join(lines).encode() + b"\n"
    return data if rng.random() < 0.7 else damaged(rng, data)


def json_document(rng: random.Random, seeds: Sequence[Any]) -> bytes:
    data = json.dumps(swapped(rng, rng.choice(seeds))).encode()
    return data if rng.random() < 0.8 else damaged(rng, data)


def yaml_document(rng: random.Random, seeds: Sequence[Any]) -> bytes:
    """A YAML file near `seeds`; often with a node written as YAML that means more than it says."""
    value = swapped(rng, rng.choice(seeds))
    text = yaml.safe_dump(value, sort_keys=False)
    if rng.random() < 0.4:
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        key, colon, _ = lines[at].partition(": ")
        lines[at] = f"{key}: {rng.choice(LINES)}" if colon else rng.choice(LINES)
        text = "\n".join(lines)
    data = text.encode()
    return data if rng.random() < 0.8 else damaged(rng, data)


def swapped(rng: random.Random, value: Any) -> Any:
    """A copy with one to three nodes replaced, taken out or moved under another key."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places: list[Callable[[Any], None]] = []
        _places(value, places)
        if not places:
            return rng.choice(VALUES)
        rng.choice(places)(rng.choice((*VALUES, *WORDS[:13], *WHOLE, *REAL)))
    return value


def _places(value: Any, found: list[Callable[[Any], None]]) -> None:
    if isinstance(value, dict):
        for key in list(value):
            found.append(lambda new, d=value, k=key: d.__setitem__(k, new))
            found.append(lambda new, d=value, k=key: d.pop(k, None))
            found.append(lambda new, d=value, k=key: d.__setitem__(str(new)[:300], d.pop(k, None)))
            _places(value[key], found)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            found.append(lambda new, li=value, i=at: li.__setitem__(i, new) if i < len(li) else None)
            found.append(lambda new, li=value, i=at: li.insert(i, copy.deepcopy(li[i])) if i < len(li) else None)
            _places(item, found)


def _swap_field(rng: random.Random, made: Message) -> None:
    field = rng.choice(made.DESCRIPTOR.fields) if made.DESCRIPTOR.fields else None
    if field is None:
        return
    if field.message_type is not None and not field.message_type.GetOptions().map_entry:
        child = getattr(made, field.name)
        if field.is_repeated:
            _swap_repeated(rng, child)
        elif rng.random() < 0.15:
            made.ClearField(field.name)
        else:
            child.SetInParent()
            _swap_field(rng, child)
    elif field.is_repeated:
        made.ClearField(field.name)
        if field.message_type is None:
            getattr(made, field.name).extend([_scalar(rng, field) for _ in range(rng.choice((0, 1, 2, 20, 300)))])
    elif rng.random() < 0.1:
        made.ClearField(field.name)
    elif field.cpp_type == field.CPPTYPE_STRING and getattr(made, field.name)[:1] == "{" and rng.random() < 0.7:
        # A document in a field: what is wrong may lie inside.
        setattr(made, field.name, json.dumps(swapped(rng, json.loads(getattr(made, field.name)))))
    else:
        setattr(made, field.name, _scalar(rng, field))


def _swap_repeated(rng: random.Random, items: Any) -> None:
    kind = rng.randrange(4)
    if kind == 0 or not len(items):
        _swap_field(rng, items.add())
    elif kind == 1:
        _swap_field(rng, rng.choice(list(items)))
    elif kind == 2:
        items.extend([rng.choice(list(items))] * rng.choice((1, 3, 1100)))
    else:
        del items[:]


def _scalar(rng: random.Random, field: Any) -> Any:
    if field.enum_type is not None:
        return rng.choice((0, 1, 2, 3, 99, -1, 2**31 - 1))
    if field.cpp_type == field.CPPTYPE_STRING:
        word = rng.choice(WORDS)
        return word.encode() if field.type == field.TYPE_BYTES else word
    if field.cpp_type in (field.CPPTYPE_DOUBLE, field.CPPTYPE_FLOAT):
        return rng.choice(REAL)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return rng.random() < 0.5
    low, high = {
        field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
        field.CPPTYPE_UINT32: (0, 2**32 - 1),
        field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
        field.CPPTYPE_UINT64: (0, 2**64 - 1),
    }[field.cpp_type]
    return rng.choice([value for value in WHOLE if low <= value <= high])
