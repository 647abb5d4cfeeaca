"""Whether two bodies of text share phrases: what the simulator says must be news to whatever was trained."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_BREAK = re.compile(r"\{\w+\}|[.!?:;\n]")


def ngrams(text: str, n: int = 4) -> set[tuple[str, ...]]:
    """The runs of n words within a sentence, case and punctuation aside; none runs across a {slot}."""
    found: set[tuple[str, ...]] = set()
    for part in _BREAK.split(text.lower()):
        words = _WORD.findall(part)
        found |= {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}
    return found


def shared(ours: Iterable[str], theirs: Iterable[str], n: int = 4) -> set[tuple[str, ...]]:
    """The runs of n words that stand in both bodies of text. `theirs` is read once and may be a stream."""
    wanted = {gram for text in ours for gram in ngrams(text, n)}
    return {gram for text in theirs for gram in wanted & ngrams(text, n)}
