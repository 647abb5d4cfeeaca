"""Every word the simulated people say: a file that anyone may replace by one of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from rejoinder.core.errors import BadFile
from rejoinder.simulate.tastes import ATTRIBUTES, NORMS

PHRASES = Path(__file__).with_name("phrases.json")
POLES = tuple(pole for pair in ATTRIBUTES.values() for pole in pair)


@dataclass(frozen=True)
class Phrases:
    """questions by kind, each with {topic}; wishes by pole; the rest are plain lists."""

    questions: Mapping[str, Sequence[str]]
    wishes: Mapping[str, Sequence[str]]
    wrong_fact: Sequence[str]
    vague: Sequence[str]
    sarcasm: Sequence[str]
    quotation: Sequence[str]
    elsewhere: Sequence[str]
    pleased: Sequence[str]
    openers: Sequence[str]
    closers: Sequence[str]

    def all(self) -> list[str]:
        """Every phrase, in the file's order."""
        texts: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            for part in value.values() if isinstance(value, Mapping) else [value]:
                texts += part
        return texts


def load(path: Path = PHRASES) -> Phrases:
    """A phrase bank from JSON; BadFile says what is missing, unknown or of the wrong shape, and where."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(f"cannot read {path}: {error.strerror}", file=str(path)) from None
    except ValueError as error:
        raise BadFile(f"{path} is not JSON: {error}", file=str(path)) from None
    names = [f.name for f in fields(Phrases)]
    _keys(path, "the file", raw, names)
    _keys(path, "questions", raw["questions"], NORMS)
    _keys(path, "wishes", raw["wishes"], POLES)
    for name in names:
        parts = raw[name] if name in ("questions", "wishes") else {"": raw[name]}
        for part, texts in parts.items():
            _texts(path, f"{name}.{part}".rstrip("."), texts, needs_topic=name == "questions")
    return Phrases(**raw)


def _keys(path: Path, where: str, value: object, wanted: Sequence[str] | Mapping[str, object]) -> None:
    if not isinstance(value, dict):
        raise BadFile(f"{path}: {where} must be an object", file=str(path))
    missing, unknown = sorted(set(wanted) - set(value)), sorted(set(value) - set(wanted))
    if missing or unknown:
        facts = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise BadFile(f"{path}: {where} {' and '.join(facts)}", file=str(path))


def _texts(path: Path, where: str, value: object, *, needs_topic: bool) -> None:
    if not (isinstance(value, list) and value and all(isinstance(t, str) and t.strip() for t in value)):
        raise BadFile(f"{path}: {where} must be a list of at least one phrase", file=str(path))
    for at, text in enumerate(value):
        if ("{topic}" in text) != needs_topic:
            rule = "must hold {topic}" if needs_topic else "must not hold {topic}"
            raise BadFile(f"{path}: {where}[{at}] {rule}", file=str(path))
