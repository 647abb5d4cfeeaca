"""Rows that are worked on together: which go together, and a token for each at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rejoinder.runtime.backends.rows import Progress, Row, Scoring
from rejoinder.runtime.backends.sampling import choose


def next_rows(queue: Sequence[Row], most: int, context: int) -> list[Row]:
    """The oldest row, and those of its version that fit beside it, in order; at most so many.

    Rows of one batch share positions, so the longest prompt and the longest answer together must fit the context:
    otherwise a short question beside a long one would have its answer cut.
    """
    found: list[Row] = []
    prompt = answer = 0
    for row in queue:
        if len(found) >= most:
            break
        longest = max(prompt, len(row.tokens)), max(answer, row.limit(context))
        if found and (row.adapter != found[0].adapter or sum(longest) > context):
            continue
        prompt, answer = longest
        found.append(row)
    return found


def next_scored(
    queue: Iterable[Scoring], most: int, tokens: int
) -> list[tuple[Scoring, tuple[Sequence[int], Sequence[int]]]]:
    """Rows to score together: of the oldest scoring and of those of its version behind it, in order, until they are
    `most` or their padded tokens (rows × the longest) pass `tokens`; never none of a queue that holds some."""
    found: list[tuple[Scoring, tuple[Sequence[int], Sequence[int]]]] = []
    longest = 0
    for asked in queue:
        if found and asked.adapter != found[0][0].adapter:
            continue
        for row in asked.rows[len(asked.values) :]:
            longer = max(longest, len(row[0]) + len(row[1]))
            if found and (len(found) >= most or longer * (len(found) + 1) > tokens):
                return found
            longest = longer
            found.append((asked, row))
    return found


class Wave:
    """One batch of one version, from its prompt to its last answer. owns: the engine's generator.

    left: tokens that fit the context; end: the token that rows get once they are finished.
    """

    def __init__(self, generator: Any, rows: list[Progress], left: int, end: int) -> None:
        self._generator = generator
        self._rows = rows
        self._left = left
        self._end = end
        self.adapter = rows[0].row.adapter
        self.background = rows[0].row.background

    @property
    def live(self) -> int:
        """Rows still being written."""
        return sum(not row.finished for row in self._rows)

    def step(self, now: float) -> bool:
        """One token for every live row; False when the wave is over."""
        try:
            return self._stepped(now)
        except Exception as error:  # the engine's own failure: every caller of the wave hears of it
            for row in self._rows:
                row.fail(error)
            return False

    def _stepped(self, now: float) -> bool:
        for row in self._rows:
            if not row.finished:
                row.give_up(now)
        if not self.live:
            return False
        logits = np.asarray(self._generator.get_logits()).reshape(len(self._rows), -1)
        forced = np.full(logits.shape, -1e9, np.float32)
        forced[:, self._end] = 1e9
        live = [number for number, row in enumerate(self._rows) if not row.finished]
        rows = [self._rows[number] for number in live]
        tokens, log_probs = choose(logits[live], [row.row.sampling for row in rows], [row.random for row in rows])
        forced[live, tokens] = 2e9
        for row, token, log_prob in zip(rows, tokens.tolist(), log_probs.tolist(), strict=True):
            row.take(token, log_prob, now)
        self._left -= 1
        if self._left <= 0:
            for row in rows:
                row.finish("length")
        if not self.live:
            return False
        self._generator.set_logits(forced.reshape(len(self._rows), 1, -1))
        self._generator.generate_next_token()
        return True
