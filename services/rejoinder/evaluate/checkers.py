"""Rules that tell by machine whether an answer does what a user wished: the measurable part of user-guided evaluation.

A wish that no row covers needs a judge, or stays unmeasured. A checker judges answers only: which wish a user
voiced is somebody else's finding. No rule here filters a pair of which it later judges the trained version.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from rejoinder.core.table import Row, Table

BULLET_SIGNS = "-*+•‣·–"
METRIC_UNITS = (
    "metre",
    "metres",
    "meter",
    "meters",
    "kilometre",
    "kilometres",
    "kilometer",
    "kilometers",
    "centimetre",
    "centimetres",
    "gram",
    "grams",
    "kilogram",
    "kilograms",
    "litre",
    "litres",
    "celsius",
    "km",
    "cm",
    "mm",
    "kg",
    "kmh",
    "c",
)
IMPERIAL_UNITS = (
    "foot",
    "feet",
    "inch",
    "inches",
    "yard",
    "yards",
    "mile",
    "miles",
    "ounce",
    "ounces",
    "pound",
    "pounds",
    "gallon",
    "gallons",
    "fahrenheit",
    "ft",
    "mph",
    "lb",
    "lbs",
    "oz",
    "f",
)


@dataclass(frozen=True)
class Limits:
    """brief_words: most words of a brief answer, 1 to 200; a detailed one has more."""

    brief_words: int = 18


def _words(text: str) -> list[str]:
    """Runs of letters, digits and inner marks; list signs are no words."""
    return [w for w in text.split() if any(unicodedata.category(c)[0] in "LN" for c in w)]


def _items(text: str) -> tuple[int, int]:
    """How many lines are list items (a sign or a number, then a space), and how many lines there are."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    marked = [line for line in lines if re.match(rf"([{re.escape(BULLET_SIGNS)}]|\d+[.)])\s", line)]
    return len(marked), len(lines)


def _unit_words(text: str, units: Sequence[str]) -> int:
    """How many quantities (a number, then within three words a unit before the next number) are in these units."""
    tokens = re.findall(r"\d+(?:[.,]\d+)*|[^\W\d_]+", text.lower())
    count = 0
    for i, token in enumerate(tokens):
        if token[0].isdigit():
            after = tokens[i + 1 : i + 4]
            stop = next((j for j, t in enumerate(after) if t[0].isdigit()), len(after))
            count += any(t in units for t in after[:stop])
    return count


def brief(answer: str, limits: Limits) -> bool:
    return 0 < len(_words(answer)) <= limits.brief_words


def detailed(answer: str, limits: Limits) -> bool:
    return len(_words(answer)) > limits.brief_words


def bullets(answer: str, limits: Limits) -> bool:
    """Most lines are list items, and there is at least one."""
    marked, lines = _items(answer)
    return marked > 0 and 2 * marked > lines


def prose(answer: str, limits: Limits) -> bool:
    """There is text, and at most half of its lines are list items."""
    marked, lines = _items(answer)
    return lines > 0 and 2 * marked <= lines


def metric(answer: str, limits: Limits) -> bool:
    """A quantity in metric units, none in imperial ones."""
    return _unit_words(answer, METRIC_UNITS) > 0 and _unit_words(answer, IMPERIAL_UNITS) == 0


def imperial(answer: str, limits: Limits) -> bool:
    """A quantity in imperial units, none in metric ones."""
    return _unit_words(answer, IMPERIAL_UNITS) > 0 and _unit_words(answer, METRIC_UNITS) == 0


CHECKERS = Table(
    "checker",
    Row("brief", brief, Limits, claim="the answer is brief", traits={"against": "detailed"}),
    Row("detailed", detailed, Limits, claim="the answer goes into detail", traits={"against": "brief"}),
    Row("bullets", bullets, Limits, claim="the answer is a list", traits={"against": "prose"}),
    Row("prose", prose, Limits, claim="the answer is running text", traits={"against": "bullets"}),
    Row("metric", metric, Limits, claim="quantities are metric", traits={"against": "imperial"}),
    Row("imperial", imperial, Limits, claim="quantities are imperial", traits={"against": "metric"}),
)


@dataclass(frozen=True)
class Verdict:
    """met: share of the machine-checkable wishes that the answer meets, None if none is; unmeasured: the others."""

    met: float | None
    unmeasured: tuple[str, ...] = field(default=())


def check(answer: str, wishes: Sequence[str], limits: Limits = Limits()) -> Verdict:
    """Judges one answer by the wishes' names; a name without a row is unmeasured, never a failure."""
    known = [w for w in wishes if w in CHECKERS]
    met = [CHECKERS[w].make(answer, limits) for w in known]
    return Verdict(sum(met) / len(met) if met else None, tuple(w for w in wishes if w not in CHECKERS))
