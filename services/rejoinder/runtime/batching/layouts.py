"""Rows of a text model as its facts say: in our own layout, or in that of a model that was brought.

Ours stands in core/answertext.py and its size is the fact `budget`; theirs is the fact `layout`, core/pairtext.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rejoinder.core.answertext import AnswerBudget, TokenRow, answer_row, text_row
from rejoinder.core.pairtext import PairLayout
from rejoinder.core.turntext import both
from rejoinder.runtime.batching.textmodel import Words

#: Between the turns of a conversation, for a model that knows no turns.
BETWEEN_TURNS = "\n\n"


class Layouts:
    """facts: of the model that reads the rows."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._theirs = PairLayout.of(facts["layout"]) if "layout" in facts else None
        self._budget: Any = facts.get("budget")

    def answers(self, words: Words, turns: Sequence[str], answers: Sequence[str]) -> list[TokenRow]:
        """One row an answer, each after the whole conversation. A single turn is its text alone."""
        if self._theirs is None:
            encoded = words.encode([*turns, *answers])
            context, found = encoded[: len(turns)], encoded[len(turns) :]
            budget = AnswerBudget(**self._budget)
            cls, sep = both(words.cls, words.sep)
            return [answer_row(context, each, cls=cls, sep=sep, budget=budget) for each in found]
        said, *found = words.encode([BETWEEN_TURNS.join(turns), *answers])
        return [self._theirs.answered(said, each) for each in found]

    def texts(self, words: Words, texts: Sequence[str]) -> list[TokenRow]:
        """One row a text."""
        encoded = words.encode(texts)
        if self._theirs is None:
            cls, sep = both(words.cls, words.sep)
            return [text_row(each, cls=cls, sep=sep, budget=self._budget) for each in encoded]
        return [self._theirs.alone(each) for each in encoded]
