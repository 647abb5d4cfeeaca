"""How texts become a row for a model that is not ours: between the tokens that its own tokenizer sets around them.

    one text:  before, text, after          two:  before, first, between, second, after

Which tokens those are stands in the model's facts, read off its tokenizer at the export. Tokenising is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rejoinder.core.answertext import TokenRow

Ids = tuple[int, ...]


@dataclass(frozen=True)
class PairLayout:
    """text: ids (before, after). pair: ids (before, between, after). second: token type of the second text and of what
    stands after it, 0 or 1; all else is 0. most: tokens of a row, those around the texts included."""

    text: tuple[Ids, Ids]
    pair: tuple[Ids, Ids, Ids]
    second: int
    most: int

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> PairLayout:
        """From what `facts` made."""
        text, pair = (tuple(tuple(ids) for ids in facts[name]) for name in ("text", "pair"))
        return cls(text, pair, facts["second"], facts["most"])  # type: ignore[arg-type]

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def room(self) -> int:
        """Tokens left for two texts."""
        return self.most - sum(map(len, self.pair))

    def alone(self, tokens: Sequence[int]) -> TokenRow:
        """A text that loses its end."""
        before, after = self.text
        ids = (*before, *tokens[: self.most - len(before) - len(after)], *after)
        return TokenRow(ids, (0,) * len(ids))

    def ranked(self, query: Sequence[int], document: Sequence[int]) -> TokenRow:
        """Query and document; the longer of them loses its end first, as the libraries that trained such models cut."""
        first, second = longest_first(len(query), len(document), self.room)
        return self._both(query[:first], document[:second])

    def answered(self, conversation: Sequence[int], answer: Sequence[int]) -> TokenRow:
        """A conversation and an answer to it. The conversation loses its beginning down to a quarter of the room (the
        question stands at its end), then the answer its end."""
        kept = min(len(answer), self.room - min(len(conversation), self.room // 4))
        start = max(0, len(conversation) - (self.room - kept))
        return self._both(conversation[start:], answer[:kept])

    def _both(self, first: Sequence[int], second: Sequence[int]) -> TokenRow:
        before, between, after = self.pair
        head, tail = (*before, *first, *between), (*second, *after)
        return TokenRow(head + tail, (0,) * len(head) + (self.second,) * len(tail))


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens kept of two texts: the shorter is cut where it alone is more than half of the room."""
    if first + second <= room:
        return first, second
    half = room // 2
    if first <= second:
        return (first, room - first) if first <= half else (half, room - half)
    return (room - second, second) if second <= half else (room - half, half)
