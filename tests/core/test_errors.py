"""core/errors: whoever is told to back off is told for how long."""

from __future__ import annotations

import ast
from pathlib import Path

from rejoinder.core import errors

SOURCES = Path(__file__).parents[2] / "services" / "rejoinder"


def names_of(base: type) -> set[str]:
    return {name for name, made in vars(errors).items() if isinstance(made, type) and issubclass(made, base)}


def without_a_delay(source: str, names: set[str]) -> list[int]:
    """Lines of a module that make one of these errors without `retry_after_s`."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [
        call.lineno
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in names
        and "retry_after_s" not in {keyword.arg for keyword in call.keywords}
    ]


def test_every_refusal_for_want_of_room_says_when_to_come_again() -> None:
    names = names_of(errors.ResourceExhausted)
    # Told to a person at the start of a training, not to a caller.
    paths = [path for path in sorted(SOURCES.rglob("*.py")) if "training" not in path.parts]
    found = {path: without_a_delay(path.read_text("utf-8"), names) for path in paths}
    assert {str(path): lines for path, lines in found.items() if lines} == {}
    assert without_a_delay('raise QueueFull("full")', names) == [1]
