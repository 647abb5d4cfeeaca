"""Expressions of a field map: where in a record a thing stands. The language is JMESPath (jmespath.org).

Dotted names, `[*]`, `[-1]`, `||` for the first that is there, `'constant'`, `join('-', [a, b])`. One function is added:
`json(text)` parses JSON that was logged as a string. A mapping `{of: EXPRESSION, is: {theirs: ours}}` translates what
the expression finds; what it does not list is a record that cannot be mapped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError

from rejoinder.core.errors import BadSettings
from rejoinder.observe.formats.fields import Unfit


class Unmapped(Unfit):
    """A record in which the map does not find what it needs. cause: one of CAUSES. field: the map's name of it."""

    def __init__(self, cause: str, field: str) -> None:
        super().__init__(f"{field}: {cause}")
        self.cause = cause
        self.field = field


#: Why a record cannot be mapped: what metrics count by.
CAUSES = ("not_json", "missing", "unusable", "no_question", "refused")


class _Functions(functions.Functions):
    @functions.signature({"types": ["string", "null"]})
    def _func_json(self, text: str | None) -> Any:
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            return None


_OPTIONS = jmespath.Options(custom_functions=_Functions())


class Expression:
    """One field's expression, compiled. field: the map's name of it. Raises BadSettings that names `where`."""

    def __init__(self, field: str, given: Any, where: str) -> None:
        self.field = field
        self._names: Mapping[Any, Any] | None = None
        if isinstance(given, Mapping):
            if set(given) != {"of", "is"} or not isinstance(given["is"], Mapping):
                raise BadSettings(f"{where}: a mapping has `of`, an expression, and `is`, theirs: ours", field=where)
            self._names = {_key(theirs): ours for theirs, ours in given["is"].items()}
            given = given["of"]
        if not isinstance(given, str):
            raise BadSettings(f'{where} is no expression; a constant is written as "\'text\'" or "`1`"', field=where)
        try:
            self._compiled = jmespath.compile(given)
            unknown = sorted(set(_functions(self._compiled.parsed)) - set(_Functions.FUNCTION_TABLE))
        except (JMESPathError, RecursionError) as error:
            raise BadSettings(f"{where} is no JMESPath: {str(error).splitlines()[0]}", field=where) from None
        if unknown:
            raise BadSettings(f"{where}: no function is called {unknown[0]}", field=where)

    def holds(self, record: Any) -> bool:
        """Whether something stands there that is not false. Raises Unmapped."""
        found = self.find(record)
        return found is not None and found is not False

    def find(self, record: Any) -> Any:
        """What stands there, None for nothing. Raises Unmapped where a function does not fit what it is given."""
        try:
            found = self._compiled.search(record, _OPTIONS)
        except (JMESPathError, ArithmeticError, TypeError, ValueError):
            raise Unmapped("unusable", self.field) from None
        if found is None or self._names is None:
            return found
        try:
            return self._names[_key(found)]
        except (KeyError, TypeError):
            raise Unmapped("unusable", self.field) from None


def _key(value: Any) -> Any:
    """YAML's and JSON's `true` and `1` are one number to Python and two things to people."""
    return (type(value) is bool, value)


def _functions(node: Any) -> Iterator[str]:
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):
            yield from _functions(child)
