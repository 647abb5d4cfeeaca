"""How a conversation and an answer to it become tokens: one layout, shared by trainers and servers of encoders.

    [CLS] turn [SEP] turn [SEP] … the last turn [SEP] the answer [SEP]

The token type is 1 on the answer and its [SEP], 0 before. A long conversation loses its beginning (the question stands
at its end), a long answer its end. A text alone is `[CLS] text [SEP]`, all of type 0. Tokenising is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class AnswerBudget:
    """Tokens kept. context: the last ones of the conversation; answer: the first ones. With 3 special ones: the row."""

    context: int = 64
    answer: int = 189


@dataclass(frozen=True)
class TokenRow:
    """ids, types: equal length, types 0 or 1."""

    ids: tuple[int, ...]
    types: tuple[int, ...]


def answer_row(
    context: Sequence[Sequence[int]], answer: Sequence[int], *, cls: int, sep: int, budget: AnswerBudget
) -> TokenRow:
    """context: the turns' tokens, oldest first; answer: its tokens; both without special tokens."""
    turns: list[int] = []
    for turn in context:
        turns += [*turn, sep]
    kept = turns[:-1][-budget.context :] if turns else []
    head = (cls, *kept, sep)
    tail = (*answer[: budget.answer], sep)
    return TokenRow(head + tail, (0,) * len(head) + (1,) * len(tail))


def text_row(tokens: Sequence[int], *, cls: int, sep: int, budget: int) -> TokenRow:
    """A text alone; budget: tokens kept from its start, two special ones come on top."""
    ids = (cls, *tokens[:budget], sep)
    return TokenRow(ids, (0,) * len(ids))
