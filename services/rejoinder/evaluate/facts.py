"""Whether an answer states what is known: a check for the gate, from a list of facts alone.

It knows nobody who will judge the version and is known to nobody who does: the simulated people read answers by a rule
of their own. A fact is a quantity in two systems of units, so a number with the wrong unit behind it is wrong here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.core.errors import BadFile

Words = tuple[str, ...]
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")


def words_of(text: str) -> Words:
    """Numbers and words in small letters, in order; signs are none."""
    return tuple(_WORD.findall(text.lower()))


@dataclass(frozen=True)
class Known:
    """asked: what a question about it holds. named: what the answer must name, () for nothing. stated: the quantity in
    either system. beside: other numbers that may stand in the answer."""

    asked: tuple[Words, ...]
    named: Words
    stated: tuple[Words, ...]
    beside: frozenset[str]

    def holds(self, answer: Words) -> bool:
        """One quantity is stated with its unit, and no number stands there that nobody knows of."""
        rest, found = answer, 0
        for quantity in self.stated:
            while (at := _find(quantity, rest)) >= 0:
                rest, found = (*rest[:at], "·", *rest[at + len(quantity) :]), found + 1
        return found > 0 and _find(self.named, answer) >= 0 and all(w in self.beside for w in rest if w[0].isdigit())


class Facts:
    """The check: prompt and answer → whether the answer is right, None where the question is about nothing known."""

    def __init__(self, known: Sequence[Known]) -> None:
        self._known = known

    def __call__(self, prompt: Sequence[Mapping[str, str]], answer: str) -> bool | None:
        question = words_of(prompt[-1]["content"])
        about = [(len(asked), k) for k in self._known for asked in k.asked if _find(asked, question) >= 0]
        # The longest that fits: "the height of K2" is no question about K.
        return max(about, key=lambda pair: pair[0])[1].holds(words_of(answer)) if about else None


def load(path: Path) -> Facts:
    """From a list of {topics, subject, metric, imperial, and texts that a right answer may hold}. Raises BadFile."""
    try:
        return Facts([_known(row) for row in json.loads(path.read_text("utf-8"))])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFile(f"{path} is no list of facts: {type(error).__name__}", file=str(path)) from None


def _known(row: Mapping[str, Any]) -> Known:
    texts = [row["subject"], *row["main"], *row["points"], *row["more"]]
    return Known(
        tuple(words_of(topic) for topic in row["topics"]),
        words_of(row["subject"]),
        (words_of(row["metric"]), words_of(row["imperial"])),
        frozenset(word for text in texts for word in words_of(text) if word[0].isdigit()),
    )


def _find(part: Words, whole: Words) -> int:
    """Where a run of words begins in another, -1 for nowhere."""
    return next((i for i in range(len(whole) - len(part) + 1) if whole[i : i + len(part)] == part), -1)
