"""Rows of one version that are written together: a row joins when there is room and leaves with its last token."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from rejoinder.runtime.backends.decoder import MOST_AT_ONCE, WORTH_KEEPING, Cache, Decoder, common, rounded
from rejoinder.runtime.backends.rows import Progress
from rejoinder.runtime.backends.sampling import choose


@dataclass(eq=False)
class Seat:
    """A row's place. tokens: what is in its slot or will be next; read: how many of them are. most: tokens of prompt
    and answer together."""

    progress: Progress
    tokens: list[int]
    most: int
    read: int = 0


class Batch:
    """owns: the keys and values of its rows.

    Rows being written hold the first slots, in order; the one whose prompt is being read holds the slot after them.
    """

    def __init__(self, decoder: Decoder, adapter: str) -> None:
        self._decoder = decoder
        self.adapter = adapter
        self._cache: Cache | None = None
        self._writing: list[Seat] = []
        self._coming: deque[Seat] = deque()

    @property
    def live(self) -> int:
        return len(self._writing) + len(self._coming)

    def join(self, progress: Progress) -> None:
        row = progress.row
        most = len(row.tokens) + row.limit(self._decoder.shape.context)
        self._coming.append(Seat(progress, list(row.tokens), most))

    def turn(self, now: float, prompt_tokens: int) -> None:
        """Reads so many tokens of prompts at most, then writes a token of every row that is read."""
        try:
            self._leave(now)
            self._read(now, prompt_tokens)
            self._write(now)
        except Exception as error:  # the runtime's own failure: every caller of the batch hears of it
            self.fail(error)

    def drop(self, now: float) -> None:
        """Ends the rows that nobody waits for any more, without a token for the others."""
        try:
            self._leave(now)
        except Exception as error:  # the runtime's own failure: every caller of the batch hears of it
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Ends every row with this error."""
        for seat in (*self._writing, *self._coming):
            seat.progress.fail(error)
        self._writing.clear()
        self._coming.clear()

    def _leave(self, now: float) -> None:
        for seat in (*self._writing, *self._coming):
            seat.progress.give_up(now)
        self._coming = deque(seat for seat in self._coming if not seat.progress.finished)
        self._closed_up()

    def _closed_up(self) -> None:
        """Rows that are finished leave; the last ones take their slots."""
        before = len(self._writing)
        at = 0
        while at < len(self._writing):
            if not self._writing[at].progress.finished:
                at += 1
                continue
            last = self._writing[-1]
            if at < len(self._writing) - 1:
                self._held.copy(len(self._writing) - 1, at, last.read)
                self._writing[at] = last
            self._writing.pop()
        if self._coming and self._coming[0].read and len(self._writing) < before:
            self._held.copy(before, len(self._writing), self._coming[0].read)
        if self._cache and self._writing and len(self._writing) < before:
            # One long row must not leave room for its like to all that come after it.
            needed = max(seat.most for seat in self._seated())
            self._cache = self._cache.shrunk(rounded(needed, self._decoder.shape.context), self._filled())

    @property
    def _held(self) -> Cache:
        assert self._cache is not None, "rows that were read lie in a cache"
        return self._cache

    def _read(self, now: float, budget: int) -> None:
        while self._coming and budget > 0:
            seat = self._coming[0]
            try:
                budget -= self._read_on(seat, budget, now)
            except Exception as error:  # too long for the memory there is, or the runtime's own: the others go on
                seat.progress.fail(error)
            if seat.progress.finished:
                self._coming.popleft()
            elif len(seat.tokens) > len(seat.progress.row.tokens):
                self._writing.append(self._coming.popleft())
            else:
                return

    def _read_on(self, seat: Seat, budget: int, now: float) -> int:
        """Reads on in a prompt, and chooses the first token where it is at its end; the tokens it took."""
        slot = len(self._writing)
        cache = self._room(seat, slot)
        if not seat.read:
            self._copied(cache, seat, slot)
        start, end = seat.read, min(len(seat.tokens), seat.read + min(budget, MOST_AT_ONCE))
        logits = self._decoder.read(cache, slot, seat.tokens[start:end], start, self.adapter)
        seat.read = end
        if end == len(seat.tokens):
            self._chosen([seat], logits[-1:], now)
        return end - start

    def _room(self, seat: Seat, slot: int) -> Cache:
        """The cache, with room for this row's whole answer."""
        length = rounded(seat.most, self._decoder.shape.context)
        if self._cache is None:
            self._cache = self._decoder.cache(min(4, slot + 1), length)
        slots = self._cache.slots if slot < self._cache.slots else 2 * self._cache.slots
        self._cache = self._cache.grown(slots, length, self._filled())
        return self._cache

    def _seated(self) -> list[Seat]:
        """By slot: the rows being written, and the one whose prompt is being read or is the next to be."""
        return [*self._writing, *islice(self._coming, 1)]

    def _filled(self) -> list[int]:
        """Positions that hold something, by slot."""
        return [seat.read for seat in self._seated() if seat.read]

    def _copied(self, cache: Cache, seat: Seat, slot: int) -> None:
        """What another row has read of the same beginning need not be read again: several answers to one prompt."""
        most, of = WORTH_KEEPING - 1, -1
        # The last token is read in any case: its logits are wanted.
        wanted = seat.tokens[:-1]
        for number, other in enumerate(self._writing):
            found = common(wanted, other.tokens[: other.read], most)
            if found > most:
                most, of = found, number
        if of >= 0:
            cache.copy(of, slot, most)
            seat.read = most

    def _write(self, now: float) -> None:
        if not self._writing:
            return
        seats = list(self._writing)
        logits = self._decoder.step(
            self._held, [seat.tokens[-1] for seat in seats], [seat.read for seat in seats], self.adapter
        )
        for seat in seats:
            seat.read += 1
        self._chosen(seats, logits, now)
        self._closed_up()

    def _chosen(self, seats: Sequence[Seat], logits: np.ndarray, now: float) -> None:
        finite = np.isfinite(logits.max(axis=-1))
        if not finite.all():
            # A row of a version that overflows is that row's trouble, not that of the rows beside it.
            for seat, fine in zip(seats, finite, strict=True):
                if not fine:
                    seat.progress.fail(ArithmeticError("the model's logits are no numbers"))
            seats, logits = [seat for seat, fine in zip(seats, finite, strict=True) if fine], logits[finite]
            if not seats:
                return
        rows = [seat.progress for seat in seats]
        tokens, log_probs = choose(logits, [row.row.sampling for row in rows], [row.random for row in rows])
        for seat, token, log_prob in zip(seats, tokens.tolist(), log_probs.tolist(), strict=True):
            seat.tokens.append(token)
            seat.progress.take(token, log_prob, now)
