"""core/typed: plain values become a dataclass, or a TypeError names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from rejoinder.core import typed


@dataclass(frozen=True)
class Inner:
    weight: float


@dataclass(frozen=True)
class Outer:
    name: str
    share: float = 0.5
    count: int = 1
    on: bool = False
    words: tuple[str, ...] = ()
    both: tuple[int, str] = (0, "")
    inner: tuple[Inner, ...] = ()
    free: Mapping[str, Any] = field(default_factory=dict)
    maybe: float | None = None
    strange: complex = 0j


def test_values_of_the_fields_types_are_taken() -> None:
    made = typed.make(
        Outer,
        {
            "name": "n",
            "share": 1,
            "words": ["a", "b"],
            "both": [1, "x"],
            "inner": [Inner(1.0)],
            "free": {"k": [1]},
            "maybe": 2.0,
            "strange": "as it comes",
        },
    )
    assert made == Outer(
        "n",
        1,
        words=("a", "b"),
        both=(1, "x"),
        inner=(Inner(1.0),),
        free={"k": [1]},
        maybe=2.0,
        strange="as it comes",  # type: ignore[arg-type]
    )
    # Left a whole number: what is digested of it must not change.
    assert isinstance(made.share, int)
    assert typed.make(Outer, {"name": "n", "maybe": None}) == Outer("n")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "name is missing"),
        ({"name": "n", "nmae": 1}, "unknown nmae; known: name, share"),
        ({"name": "n", 1: 2, None: 3}, "unknown 1, None"),
        ({"name": 1}, "name must be text"),
        ({"name": None}, "name must be text"),
        ({"name": "n", "share": "0.5"}, "share must be a number"),
        ({"name": "n", "share": True}, "share must be a number"),
        ({"name": "n", "share": math.nan}, "share must be a number"),
        ({"name": "n", "count": 1.0}, "count must be a whole number"),
        ({"name": "n", "count": False}, "count must be a whole number"),
        ({"name": "n", "on": 1}, "on must be true or false"),
        ({"name": "n", "words": "ab"}, "words must be a list of text"),
        ({"name": "n", "words": ["a", 1]}, "words must be text"),
        ({"name": "n", "both": [1]}, "both must be a list of a whole number, text"),
        ({"name": "n", "inner": [{"weight": 1.0}]}, "inner must be Inner"),
        ({"name": "n", "free": [1]}, "free must be a mapping"),
        ({"name": "n", "maybe": "x"}, "maybe must be a number or nothing"),
        ([], "must be a mapping"),
        ("text", "must be a mapping"),
        (None, "must be a mapping"),
    ],
)
def test_anything_else_is_a_type_error_that_names_the_field(values: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        typed.make(Outer, values)
