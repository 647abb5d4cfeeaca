"""How the simulated people read: what can be asked, what is true, and which style an answer has."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rejoinder.core.errors import BadFile
from rejoinder.simulate.tastes import NORMS, Reading

# Words of the answer, list marks aside. The world's brief answers have at most 17, its detailed ones at least 19.
BRIEF_WORDS = 18
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_ITEM = re.compile(r"^\s*[-*•]\s+", re.MULTILINE)
_METRIC = re.compile(r"\d\s*(?:(?:kilo|centi)?met(?:re|er)s?|kilograms?|degrees Celsius|km|kg|m|°C)\b", re.IGNORECASE)
_IMPERIAL = re.compile(r"\d\s*(?:feet|foot|miles?|pounds?|degrees Fahrenheit|ft|mi|lb|°F)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Topic:
    """Something to ask about: the noun phrases that fill a question, what a right answer names and which numbers
    it may hold; it holds one of `quantities`."""

    kind: str
    asks: tuple[str, ...]
    subject: str
    quantities: frozenset[str]
    numbers: frozenset[str]

    def read(self, answer: str) -> Reading:
        """The style and truth of an answer to a question about this topic."""
        items = _ITEM.findall(answer)
        words = len(_ITEM.sub("", answer).split())
        metric, imperial = bool(_METRIC.search(answer)), bool(_IMPERIAL.search(answer))
        length = "" if not words else "brief" if words <= BRIEF_WORDS else "detailed"
        lines = [line for line in answer.splitlines() if line.strip()]
        layout = "" if not words else "bullets" if items and len(items) * 2 > len(lines) else "prose"
        units = "" if metric == imperial else "metric" if metric else "imperial"
        found = set(_NUMBER.findall(answer))
        right = bool(found & self.quantities) and found <= self.numbers and self.subject.lower() in answer.lower()
        return Reading((length, layout, units), right)


def load_topics(path: Path) -> Sequence[Topic]:
    """What the served policy was taught, from the `facts.json` that lies beside it. BadFile if it is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        topics = [_topic(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path} is no list of facts: {type(error).__name__}", file=str(path)) from None
    missing = set(NORMS) - {t.kind for t in topics}
    if missing:
        raise BadFile(f"{path} has no facts of kind {', '.join(sorted(missing))}", file=str(path))
    return topics


def _topic(row: dict) -> Topic:
    quantities = {*_NUMBER.findall(row["metric"]), *_NUMBER.findall(row["imperial"])}
    others = {n for text in [*row["main"], *row["points"], *row["more"], row["subject"]] for n in _NUMBER.findall(text)}
    return Topic(
        row["kind"], tuple(row["topics"]), row["subject"], frozenset(quantities), frozenset(quantities | others)
    )
