"""A field map: what a person says about records that are not ours, as YAML, checked before the first of them is read.

`form` says what one record is, `preset` (presets.py) fills in what the person does not; every other key is an
expression (paths.py). README.md has the table of fields.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rejoinder.core.errors import BadSettings
from rejoinder.core.types import Role
from rejoinder.observe.formats import fields
from rejoinder.observe.paths import Expression, Unmapped
from rejoinder.observe.presets import PRESETS

#: Fields that every form has.
_ALWAYS = ("where", "id", "user", "no_train")
#: Form → fields it must have, fields it may have.
FORMS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "exchange": (("messages", "response"), ("conversation", "role", "content", "model", "at")),
    "conversation": (("messages",), ("role", "content", "model", "message_id", "message_at")),
    "turns": (("conversation", "role", "content"), ("parent", "turn", "model", "at")),
    "reaction": ((), ("interaction", "conversation", "turn", "answer", "at")),
}
#: Forms whose records may say what people thought of them.
_REACTED = frozenset({"exchange", "turns", "reaction"})
#: Within one message of `messages`.
_MESSAGE = {"role": "role", "content": "content"}
#: Kind of feedback → expressions it must have, expressions it may have, lists that are written as they are.
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "rating": (("number",), ("name",), ("scale",)),
    "category": (("category",), ("name",), ("categories",)),
    "comment": (("text",), (), ()),
    "follow_up": (("text",), (), ()),
    "edit": (("text",), (), ()),
    "comparison": (("other", "choice"), (), ()),
    "click": (("candidate", "position"), (), ()),
    "copy": ((), ("characters",), ()),
    "regenerate": ((), ("new",), ()),
    "abandon": ((), ("after",), ()),
    "outcome": (("name", "value"), (), ()),
}


@dataclass(frozen=True)
class Reaction:
    """One kind of feedback that a record may hold. when: None where every record does."""

    kind: str
    when: Expression | None
    fields: Mapping[str, Expression]
    scale: tuple[float, float] = (0.0, 0.0)
    categories: tuple[str, ...] = ()


class FieldMap:
    """A map that was checked. owns: its compiled expressions. where: how errors call it (`topics.0.map`).

    Raises BadSettings that names the field at fault.
    """

    def __init__(self, given: Any, where: str = "map") -> None:
        values = _with_preset(_mapping(given, where), where)
        self.form = values.pop("form", None)
        if self.form not in list(FORMS):
            raise BadSettings(f"{where}.form must be one of {', '.join(FORMS)}", field=f"{where}.form")
        must, may = FORMS[self.form]
        self.reactions = _reactions(values.pop("reactions", []), f"{where}.reactions")
        if self.reactions and self.form not in _REACTED:
            raise BadSettings(f"{where}.reactions: a {self.form} has none", field=f"{where}.reactions")
        if self.form == "reaction" and not self.reactions:
            raise BadSettings(f"{where}.reactions must say what is read", field=f"{where}.reactions")
        if "messages" in must:
            values = {**_MESSAGE, **values}
        _check_names(values, must, (*may, *_ALWAYS), where)
        self._fields = {name: Expression(name, value, f"{where}.{name}") for name, value in values.items()}
        targets = ("interaction", "conversation", "answer")
        if self.form == "reaction" and not any(name in self._fields for name in targets):
            raise BadSettings(f"{where}: a reaction names one of {', '.join(targets)}", field=where)

    @property
    def names(self) -> Sequence[str]:
        """Fields that this map looks for in a record that it takes."""
        within = {"role", "content", "message_id", "message_at"} if "messages" in FORMS[self.form][0] else set()
        return [name for name in self._fields if name not in within | {"where"}]

    def takes(self, record: Any) -> bool:
        """Whether a record is one of those that are read. Raises Unmapped."""
        where = self._fields.get("where")
        return where is None or where.holds(record)

    def find(self, name: str, record: Any) -> Any:
        """What a field finds; None where it finds nothing or the map has no such field. Raises Unmapped."""
        field = self._fields.get(name)
        return None if field is None else field.find(record)

    def need(self, name: str, record: Any) -> Any:
        """As `find`; Unmapped `missing` for nothing."""
        found = self.find(name, record)
        if found is None:
            raise Unmapped("missing", name)
        return found

    def identity(self, name: str, record: Any, needed: bool = False) -> str:
        found = self.need(name, record) if needed else self.find(name, record)
        text = fields.identity(found)
        if found not in (None, "") and not text:
            raise Unmapped("unusable", name)
        if needed and not text:
            raise Unmapped("missing", name)
        return text

    def moment(self, name: str, record: Any) -> float | None:
        """Seconds since the epoch from s, ms or ISO 8601; Unmapped for anything else that stands there."""
        found = self.find(name, record)
        seconds = fields.moment(found)
        if found is not None and seconds is None:
            raise Unmapped("unusable", name)
        return seconds

    def role(self, record: Any) -> Role:
        try:
            return fields.role(self.need("role", record))
        except Unmapped:
            raise
        except fields.Unfit:
            raise Unmapped("unusable", "role") from None

    def content(self, name: str, record: Any) -> str:
        """Text as OpenAI's chat API has it; a whole message (an object with `content`) is taken for its content."""
        found = self.find(name, record)
        if isinstance(found, Mapping):
            found = found.get("content")
        try:
            return fields.content(found, name)
        except fields.Unfit:
            raise Unmapped("unusable", name) from None


def number(found: Any, name: str) -> float:
    """A finite number; true is 1, and text that is a number is one. Raises Unmapped."""
    try:
        return fields.number(found, name)
    except fields.Unfit:
        raise Unmapped("unusable", name) from None


def _with_preset(values: dict[str, Any], where: str) -> dict[str, Any]:
    preset = values.pop("preset", None)
    if preset is None:
        return values
    if preset not in list(PRESETS):
        raise BadSettings(f"{where}.preset must be one of {', '.join(PRESETS)}", field=f"{where}.preset")
    # A field that the person sets to nothing is taken out of the preset.
    return {name: value for name, value in {**PRESETS[preset], **values}.items() if value is not None}


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise BadSettings(f"{where} is no mapping", field=where)
    return {str(name): value for name, value in given.items()}


def _check_names(given: Iterable[str], must: Sequence[str], may: Sequence[str], where: str) -> None:
    known = [*must, *may]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; nearest known: {near[0]}" if near else f"; known: {', '.join(known)}"
            raise BadSettings(f"{where}.{name}: unknown field{hint}", field=f"{where}.{name}")
    for name in must:
        if name not in given:
            raise BadSettings(f"{where}.{name} is missing", field=f"{where}.{name}")


def _reactions(given: Any, where: str) -> tuple[Reaction, ...]:
    if not isinstance(given, list):
        raise BadSettings(f"{where} is no list", field=where)
    return tuple(_reaction(_mapping(item, f"{where}.{n}"), f"{where}.{n}") for n, item in enumerate(given))


def _reaction(values: dict[str, Any], where: str) -> Reaction:
    kind = values.pop("kind", None)
    if kind not in list(KINDS):
        raise BadSettings(f"{where}.kind must be one of {', '.join(KINDS)}", field=f"{where}.kind")
    must, may, lists = KINDS[kind]
    _check_names(values, (*must, *lists), (*may, "when"), where)
    plain = {name: _list(values.pop(name), f"{where}.{name}") for name in lists}
    made = {name: Expression(name, value, f"{where}.{name}") for name, value in values.items()}
    return Reaction(kind, made.pop("when", None), made, _scale(plain.get("scale"), where), _texts(plain, where))


def _list(given: Any, where: str) -> list[Any]:
    if not isinstance(given, list):
        raise BadSettings(f"{where} is no list", field=where)
    return given


def _scale(given: list[Any] | None, where: str) -> tuple[float, float]:
    if given is None:
        return 0.0, 0.0
    ends = [end for end in given if isinstance(end, (int, float)) and not isinstance(end, bool)]
    if len(given) != 2 or len(ends) != 2 or not ends[0] < ends[1]:
        raise BadSettings(f"{where}.scale is [worst, best], two numbers", field=f"{where}.scale")
    return float(ends[0]), float(ends[1])


def _texts(plain: Mapping[str, list[Any]], where: str) -> tuple[str, ...]:
    given = plain.get("categories", [])
    if "categories" in plain and (len(given) < 2 or not all(isinstance(item, str) for item in given)):
        raise BadSettings(f"{where}.categories are two or more texts, worst first", field=f"{where}.categories")
    return tuple(given)
