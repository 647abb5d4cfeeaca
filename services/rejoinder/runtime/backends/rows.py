"""What an engine is asked for: answers, and likelihoods of answers; and an answer while it is generated."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rejoinder.core.types import Sampling

#: The adapter name of the bare base.
BASE = ""
#: Ranks of rows: that somebody waits for, that a round waits for, that nobody does.
WATCHED, BACKGROUND, SPARE = range(3)


def owned_future() -> Future[Any]:
    """A future that whoever waits on it cannot cancel: the engine alone ends what it has taken."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass(eq=False)
class Row:
    """One answer to be generated. owns: whether it was cancelled, and its future.

    on_text gets text as it comes, of one token or more. deadline: on the clock's monotonic scale; None = none.
    background: waits for rows that somebody watches. spare: waits for everything, takes no place in the queue, and gets
    no token while anything else has work. done: resolves with an Answer.
    """

    tokens: Sequence[int]
    sampling: Sampling
    adapter: str = BASE
    deadline: float | None = None
    background: bool = False
    spare: bool = False
    on_text: Callable[[str], None] = lambda text: None
    done: Future[Answer] = field(default_factory=owned_future)
    cancelled: bool = False

    def cancel(self) -> None:
        """Frees the row at the next token; `done` resolves with what there is, finish_reason "cancelled"."""
        self.cancelled = True

    @property
    def rank(self) -> int:
        """Who goes first: WATCHED, BACKGROUND, SPARE."""
        return SPARE if self.spare else BACKGROUND if self.background else WATCHED

    def limit(self, context: int) -> int:
        """Tokens that it may get in a model of this context."""
        return min(self.sampling.max_tokens or context, context - len(self.tokens))


@dataclass(frozen=True)
class Answer:
    """text without the end token; log_prob: nats, summed over `tokens` (the end token included).

    finish_reason: stop | length | stop_sequence | cancelled | deadline.
    """

    text: str
    tokens: tuple[int, ...]
    log_prob: float
    finish_reason: str
    prompt_tokens: int


@dataclass(eq=False)
class Scoring:
    """Likelihoods asked for, of continuations (each with its end) of one context; done: nats each, in order."""

    context: Sequence[int]
    continuations: Sequence[tuple[int, ...]]
    adapter: str = BASE
    deadline: float | None = None
    done: Future[list[float]] = field(default_factory=owned_future)
    values: list[float] = field(default_factory=list)
    cancelled: bool = False

    def cancel(self) -> None:
        """What is not computed yet never will be; `done` then fails with DeadlineExceeded, whom nobody hears."""
        self.cancelled = True


class Progress:
    """A row while it is generated. owns: its random numbers, its text so far, its stop search."""

    def __init__(self, row: Row, stream: Any, ends: frozenset[int], context: int, text_every_s: float) -> None:
        self.row = row
        self.finished = False
        self.random = np.random.default_rng(row.sampling.seed)
        self._limit = row.limit(context)
        self._stream = stream
        self._ends = ends
        self._text_every_s = text_every_s
        self._tokens: list[int] = []
        self._text = ""
        self._sent = 0
        self._sent_at = -math.inf
        self._log_prob = 0.0

    def take(self, token: int, log_prob: float, now: float) -> None:
        """Goes on by a token."""
        self._tokens.append(token)
        self._log_prob += log_prob
        if token in self._ends:
            self.finish("stop")
            return
        self._text += self._stream.decode(token)
        cut = self._stop_at()
        if cut is not None:
            self._text = self._text[:cut]
            self.finish("stop_sequence")
        elif len(self._tokens) >= self._limit:
            self.finish("length")
        elif now - self._sent_at >= self._text_every_s and self._send(len(self._text) - self._held_back()):
            self._sent_at = now

    def give_up(self, now: float) -> None:
        """Ends the row if nobody waits for it any more."""
        if self.row.cancelled:
            self.finish("cancelled")
        elif self.row.deadline is not None and self.row.deadline <= now:
            self.finish("deadline")

    def finish(self, reason: str) -> None:
        if self.finished:
            return
        self.finished = True
        self._send(len(self._text))
        answer = Answer(self._text, tuple(self._tokens), self._log_prob, reason, len(self.row.tokens))
        self.row.done.set_result(answer)

    def fail(self, error: BaseException) -> None:
        if not self.finished:
            self.finished = True
            self.row.done.set_exception(error)

    def _send(self, until: int) -> bool:
        """Gives out the text up to there; False when there is none."""
        if until <= self._sent:
            return False
        try:
            self.row.on_text(self._text[self._sent : until])
        except Exception:
            # A listener that is gone (its loop has closed) is its own trouble, not that of the rows beside it.
            self.row.cancel()
        self._sent = until
        return True

    def _stop_at(self) -> int | None:
        found = [at for stop in self.row.sampling.stop if stop and (at := self._text.find(stop)) >= 0]
        return min(found, default=None)

    def _held_back(self) -> int:
        """Characters at the end that may yet become a stop sequence: not to be sent before that is known."""
        return max(
            (
                size
                for stop in self.row.sampling.stop
                for size in range(min(len(stop) - 1, len(self._text)), 0, -1)
                if self._text.endswith(stop[:size])
            ),
            default=0,
        )
