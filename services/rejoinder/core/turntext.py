"""How a judged turn becomes tokens: one layout, shared by the trainer of the signal encoder and by its reader.

    [CLS] the answer judged [SEP] the follow-up [SEP]

The token type is 1 on the words of the follow-up and 0 everywhere else, so that the graph itself knows where
evidence may lie. Tokenising is the caller's (`tokenizers`); this file only cuts and joins, so it needs nothing.
What the user said earlier is left out on purpose: it tells who judges, not how good this answer was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rejoinder.core.errors import BadFile


class Marked(Protocol):
    """What of a tokenizer knows its special tokens."""

    def token_to_id(self, token: str) -> int | None: ...


def marks(tokenizer: Marked) -> tuple[int, int]:
    """The ids of [CLS] and [SEP]. Raises as `both`."""
    return both(tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]"))


def both(cls: int | None, sep: int | None) -> tuple[int, int]:
    """Raises BadFile where one is not there: the tokenizer is of a model that our layout is not for."""
    if cls is None or sep is None:
        raise BadFile("the tokenizer has no [CLS] or no [SEP]", field="tokenizer")
    return cls, sep


@dataclass(frozen=True)
class Budget:
    """Tokens kept of each part. What is cut keeps its beginning and its end, where reactions stand.

    The sum, plus three special tokens, is the longest row (131).
    """

    answer_head: int = 16
    answer_tail: int = 32
    followup_head: int = 56
    followup_tail: int = 24


@dataclass(frozen=True)
class TurnRow:
    """ids, types: equal length. at: position in the follow-up's own token list of every type-1 token, in order."""

    ids: tuple[int, ...]
    types: tuple[int, ...]
    at: tuple[int, ...]


def _ends(size: int, head: int, tail: int) -> tuple[int, ...]:
    return tuple(range(size)) if size <= head + tail else (*range(head), *range(size - tail, size))


def layout(answer: Sequence[int], followup: Sequence[int], *, cls: int, sep: int, budget: Budget) -> TurnRow:
    """One row of token ids from the two parts, each tokenised without special tokens."""
    kept = _ends(len(answer), budget.answer_head, budget.answer_tail)
    at = _ends(len(followup), budget.followup_head, budget.followup_tail)
    before = (cls, *(answer[i] for i in kept), sep)
    ids = (*before, *(followup[i] for i in at), sep)
    return TurnRow(ids, (*([0] * len(before)), *([1] * len(at)), 0), at)
