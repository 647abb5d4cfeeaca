"""From probabilities of single tokens to the words that are the evidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def evidence_span(
    text: str,
    offsets: Sequence[tuple[int, int]],
    probabilities: Sequence[float] | np.ndarray,
    *,
    share: float = 0.5,
    gap: int = 1,
) -> tuple[int, int]:
    """The run of tokens around the strongest one, as characters [start, end) of `text`.

    offsets: (start, end) in `text` of each token. probabilities: of the reason, the same length. A neighbour belongs
    to the run while its probability is at least `share` of the strongest; up to `gap` weaker tokens are bridged.
    The span never cuts a word and never starts or ends in white space; (0, 0) when there is no token.
    """
    if not offsets:
        return 0, 0
    p = np.asarray(probabilities, dtype=float)
    peak = int(p.argmax())
    inside = p >= share * p[peak]
    first = last = peak
    for step, edge in ((-1, -1), (1, len(p))):
        at, missed = peak, 0
        while at + step != edge and missed <= gap:
            at += step
            if not inside[at]:
                missed += 1
                continue
            missed = 0
            first, last = min(first, at), max(last, at)
    return _whole_words(text, offsets[first][0], offsets[last][1])


def _whole_words(text: str, start: int, end: int) -> tuple[int, int]:
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
