"""Values of others' files are taken by their type, or refused by their field."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from rejoinder.core.errors import BadFile
from rejoinder.evaluate.report.reading import At


@pytest.mark.parametrize(
    ("value", "take", "words"),
    [
        ({"a": {"b": "x"}}, lambda at: at["a"]["b"].number(), "a.b must be a number"),
        ({"a": True}, lambda at: at["a"].number(), "a must be a number"),
        ({"a": math.inf}, lambda at: at["a"].number(), "a must be a finite number"),
        ({"a": 10**400}, lambda at: at["a"].number(), "a must be a finite number"),
        ({"a": -1}, lambda at: at["a"].count(), "a must be a count"),
        ({"a": 0.5}, lambda at: at["a"].count(), "a must be a count"),
        (
            {"a": [1, {"b": 2}]},
            lambda at: [each["b"].text() for each in list(at["a"].each())[1:]],
            r"a\[1\].b must be text",
        ),
        ({"a": "x" * 501}, lambda at: at["a"].text(), "at most 500"),
        ({"a": {}}, lambda at: list(at["a"].each()), "a must be a list"),
        ([], lambda at: at["a"], "f: must be an object"),
        ({"a": 1}, lambda at: at["a"].true(), "a must be true or false"),
    ],
)
def test_another_type_is_refused_by_its_field(value: Any, take: Callable[[At], Any], words: str) -> None:
    with pytest.raises(BadFile, match=words) as refused:
        take(At("f", "", value))
    assert refused.value.metadata["file"] == "f"


def test_what_is_absent_is_nothing() -> None:
    at = At("f", "", {"a": None})
    assert (at["a"].number(), at["b"].count(), at["b"].text(), list(at["b"].each()), at["b"].figure()) == (
        None,
        0,
        "",
        [],
        None,
    )
    assert At("f", "", {"value": 0.5, "low": None, "n": 7}).figure() == {
        "value": 0.5,
        "low": None,
        "high": None,
        "n": 7,
    }
