"""Token generation on ONNX Runtime: one base, hot-loaded adapters, one thread that owns the model.

Rows of one version are written together, a token each at a time; a row joins when there is room, its prompt read in
parts between two tokens of the others, and leaves with its last token. Every row has its own seed and settings, and its
log-probabilities are those of the served distribution at temperature 1. Work nobody watches (samples, likelihoods) gets
at most half of the time; spare rows (answers of a shadow phase) get what all others leave. Why not the runtime's own
generators: NOTES.md of the policy room.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.errors import (
    DeadlineExceeded,
    Draining,
    EmptyField,
    FailedPrecondition,
    NotFound,
    QueueFull,
    TooLong,
)
from rejoinder.core.types import Message
from rejoinder.runtime.backends.batch import Batch
from rejoinder.runtime.backends.chattext import ChatText, control_tokens
from rejoinder.runtime.backends.decoder import Decoder
from rejoinder.runtime.backends.rows import (
    BACKGROUND,
    BASE,
    SPARE,
    WATCHED,
    Answer,
    Progress,
    Row,
    Scoring,
    owned_future,
)
from rejoinder.runtime.backends.scorer import Scorer

Work = TypeVar("Work", Row, Scoring)

#: Tokens of likelihoods in one turn: how long rows that somebody watches may be held up by them.
_SCORED_TOKENS = 512
#: Tokens of prompts that spare rows read in one turn, which whoever comes meanwhile waits for.
_SPARE_TOKENS = 64


@dataclass(frozen=True)
class EngineSettings:
    """max_batch: rows at work at once, of each rank. prompt_tokens: of new rows, read between two tokens
    of the others. max_queue: rows and continuations waiting before QueueFull. threads: of the model runtime.
    text_every_s: how often a row's text is given out once its first has been.
    """

    max_batch: int = 16
    prompt_tokens: int = 256
    max_queue: int = 512
    threads: int = 2
    text_every_s: float = 0.02


class GenerationEngine:
    """owns: the model, its adapters, the queue and the thread."""

    def __init__(self, folder: Path, settings: EngineSettings, clock: Clock) -> None:
        """Loads the base of an exported folder. Raises what Decoder raises."""
        self._decoder = Decoder(folder, settings.threads)
        import onnxruntime_genai

        self._tokenizer = onnxruntime_genai.Tokenizer(str(folder))
        self._text = ChatText(self._tokenizer, control_tokens(folder))
        self._loaded: set[str] = {BASE}
        self._settings = settings
        self._clock = clock
        self.context = self._decoder.shape.context
        self._queue: deque[Row] = deque()
        #: Spare rows that wait: they take no place from others.
        self._spare: deque[Row] = deque()
        self._scorings: deque[Scoring] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        #: By rank and by adapter.
        self._batches: dict[tuple[int, str], Batch] = {}
        self._scorer = Scorer(self._decoder)
        #: Seconds of background work that watched rows have not had yet.
        self._owed = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        #: Resolves when the engine has closed; fails with what ended it otherwise.
        self.ended: Future[None] = owned_future()
        self._thread = threading.Thread(target=self._run, name="generation-engine", daemon=True)
        self._thread.start()

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation under the model's own chat template, the answer's opening included."""
        return self._text.chat(messages)

    def encode(self, text: str) -> list[int]:
        return self._text.text(text)

    def submit(self, rows: Sequence[Row]) -> None:
        """Queues rows, all or none. Raises EmptyField, TooLong, NotFound (adapter), QueueFull, Draining."""
        for row in rows:
            if not row.tokens:
                raise EmptyField("messages")
            if len(row.tokens) + 1 > self.context:
                raise TooLong("messages", len(row.tokens), self.context - 1, "tokens")
        with self._wake:
            self._admit({row.adapter for row in rows}, sum(row.rank != SPARE for row in rows))
            for row in rows:
                (self._spare if row.rank == SPARE else self._queue).append(row)
            self._wake.notify()

    def likelihood(
        self,
        context: Sequence[int],
        continuations: Sequence[Sequence[int]],
        adapter: str = BASE,
        deadline: float | None = None,
    ) -> Scoring:
        """log p(continuation + end | context), nats, one per continuation, in `done`. Raises as submit does."""
        if not context:
            raise EmptyField("messages")
        end = min(self._decoder.shape.ends)
        asked = Scoring(tuple(context), [(*found, end) for found in continuations], adapter, deadline)
        longest = len(context) + max(map(len, asked.continuations))
        if longest > self.context:
            raise TooLong("continuations", longest, self.context, "tokens")
        with self._wake:
            self._admit({adapter}, len(continuations))
            self._scorings.append(asked)
            self._wake.notify()
        return asked

    def load_adapter(self, name: str, path: Path) -> Future[None]:
        """Makes an adapter file (`.onnx_adapter`) servable under a name; the future resolves when it is."""
        return self._call(lambda: self._load(name, path))

    def unload_adapter(self, name: str) -> Future[None]:
        """Forgets an adapter; the future fails with FailedPrecondition while an answer uses it or waits for it."""
        return self._call(lambda: self._unload(name))

    @property
    def waiting(self) -> int:
        """Rows and continuations not begun, without spare ones."""
        return len(self._queue) + sum(len(asked.continuations) - len(asked.values) for asked in tuple(self._scorings))

    def close(self) -> None:
        """Finishes the answers in progress and stops; what still waits, and what is spare, fails with Draining."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _admit(self, adapters: set[str], count: int) -> None:
        if self._stopping:
            raise Draining("the engine is stopping")
        if unknown := adapters - self._loaded:
            raise NotFound("no adapter of this name is loaded", adapter=min(unknown))
        if self.waiting + count > self._settings.max_queue:
            raise QueueFull("the generation queue is full", retry_after_s=1.0, waiting=self.waiting)

    def _call(self, work: Callable[[], None]) -> Future[None]:
        done = owned_future()

        def run() -> None:
            try:
                work()
            except Exception as error:  # handed to the caller through its future
                done.set_exception(error)
            else:
                done.set_result(None)

        with self._wake:
            if self._stopping:
                raise Draining("the engine is stopping")
            self._calls.append(run)
            self._wake.notify()
        return done

    def _load(self, name: str, path: Path) -> None:
        if name not in self._loaded:
            self._decoder.load(name, path)
            self._loaded.add(name)

    def _unload(self, name: str) -> None:
        with self._wake:
            used: list[Row | Scoring | Batch] = [
                *self._queue,
                *self._spare,
                *self._scorings,
                *self._batches.values(),
            ]
            if any(work.adapter == name for work in used):
                raise FailedPrecondition("answers of this version are waiting or being written", adapter=name)
            if name not in self._loaded or name == BASE:
                return
            self._loaded.remove(name)
        self._decoder.unload(name)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            # Nobody may wait for an engine that is gone, nor be let in.
            with self._wake:
                self._stopping = True
                calls = list(self._calls)
                self._calls.clear()
                gone = self._stopped(error)
            for batch in self._batches.values():
                batch.fail(error)
            for end in gone:
                end()
            for call in calls:
                call()
            self.ended.set_exception(error)
        else:
            self.ended.set_result(None)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: (
                        self._stopping or self._calls or self._queue or self._spare or self._scorings or self._batches
                    )
                )
                calls = list(self._calls)
                self._calls.clear()
            self._thin()
            # Before anybody leaves the queue: who waits there holds the adapter it waits for.
            for call in calls:
                call()
            with self._wake:
                gone = self._stopped(Draining("the engine is stopping")) if self._stopping else self._expired()
                joining = [] if self._stopping else self._joining()
                if self._stopping:
                    gone += self._spared()
            for end in gone:
                end()
            for row in joining:
                self._join(row)
            if self._stopping and not self._batches:
                return
            self._turn()

    def _stopped(self, why: BaseException) -> list[Callable[[], None]]:
        """Takes out everything that waits."""
        waiting: list[Row | Scoring] = [*self._queue, *self._spare, *self._scorings]
        self._queue.clear()
        self._spare.clear()
        self._scorings.clear()
        return [partial(work.done.set_exception, why) for work in waiting]

    def _spared(self) -> list[Callable[[], None]]:
        """Takes out the spare rows that are being written."""
        why = Draining("the engine is stopping")
        spare = [self._batches.pop(key) for key in list(self._batches) if key[0] == SPARE]
        return [partial(batch.fail, why) for batch in spare]

    def _expired(self) -> list[Callable[[], None]]:
        """Takes out what nobody waits for any more: nothing is computed for nobody."""
        now = self._clock.monotonic()
        gone: list[Row | Scoring] = [
            *_taken_out(self._queue, now),
            *_taken_out(self._scorings, now),
        ]
        return [partial(_end_unbegun, work) for work in gone]

    def _thin(self) -> None:
        """Spare rows that nobody waits for leave at every turn, also where others get all of them: they would keep
        their prompts, and their version, until there is time for them."""
        now = self._clock.monotonic()
        with self._wake:
            gone = _taken_out(self._spare, now)
        for row in gone:
            _end_unbegun(row)
        for batch in self._of(SPARE):
            batch.drop(now)
        self._live()

    def _live(self) -> None:
        self._batches = {key: batch for key, batch in self._batches.items() if batch.live}

    def _joining(self) -> list[Row]:
        """The rows that there is room for now, the oldest first, each rank apart; spare ones where there is nothing
        else."""
        found: list[Row] = []
        for rank in (WATCHED, BACKGROUND, SPARE):
            queue = self._spare if rank == SPARE else self._queue
            if rank == SPARE and (found or self._scorings or any(own != SPARE for own, _ in self._batches)):
                break
            room = self._settings.max_batch - sum(batch.live for batch in self._of(rank))
            coming = [row for row in queue if row.rank == rank][: max(0, room)]
            for row in coming:
                queue.remove(row)
            found += coming
        return found

    def _join(self, row: Row) -> None:
        key = (row.rank, row.adapter)
        try:
            stream, every_s = self._tokenizer.create_stream(), self._settings.text_every_s
            progress = Progress(row, stream, self._decoder.shape.ends, self.context, every_s)
        except Exception as error:  # handed to the caller through its future
            row.done.set_exception(error)
            return
        if key not in self._batches:
            self._batches[key] = Batch(self._decoder, row.adapter)
        self._batches[key].join(progress)

    def _of(self, rank: int) -> list[Batch]:
        return [batch for (own, _), batch in self._batches.items() if own == rank]

    def _turn(self) -> None:
        """A token for every watched row; then, unless they are owed time, a turn of work that nobody watches; spare
        rows get a turn where there is neither, so whoever comes meanwhile waits for that one turn."""
        started = self._clock.monotonic()
        watched = self._of(WATCHED)
        self._step(watched, self._settings.prompt_tokens)
        between = self._clock.monotonic()
        self._owed = max(0.0, self._owed - (between - started)) if watched else 0.0
        if self._owed <= 0:
            self._step(self._of(BACKGROUND), self._settings.prompt_tokens)
            if self._scorings and not self._stopping and not _unwanted(self._scorings[0], between):
                self._score()
            self._owed = self._clock.monotonic() - between
        if not (watched or self._of(BACKGROUND) or self._scorings):
            self._spare_turn()
        self._live()

    def _spare_turn(self) -> None:
        """A turn of one version's spare rows, and then it is the next one's: as long as any turn holds others up."""
        key = next((key for key in self._batches if key[0] == SPARE), None)
        if key is not None:
            self._step([self._batches[key]], min(_SPARE_TOKENS, self._settings.prompt_tokens))
            self._batches[key] = self._batches.pop(key)

    def _step(self, batches: Sequence[Batch], prompt_tokens: int) -> None:
        for batch in batches:
            batch.turn(self._clock.monotonic(), prompt_tokens)

    def _score(self) -> None:
        """Goes on with the oldest scoring, and with those behind it as far as a turn goes."""
        budget = _SCORED_TOKENS
        while self._scorings and budget > 0:
            asked = self._scorings[0]
            try:
                budget = self._scorer.turn(asked, budget)
            except Exception as error:  # handed to the caller through its future
                self._scorings.popleft()
                asked.done.set_exception(error)
                return
            if len(asked.values) == len(asked.continuations):
                self._scorings.popleft()
                asked.done.set_result(asked.values)


def _unwanted(work: Row | Scoring, now: float) -> bool:
    return work.cancelled or (work.deadline is not None and work.deadline <= now)


def _taken_out(waiting: deque[Work], now: float) -> list[Work]:
    """What nobody waits for any more, out of the queue."""
    gone = [work for work in waiting if _unwanted(work, now)]
    for work in gone:
        waiting.remove(work)
    return gone


def _end_unbegun(work: Row | Scoring) -> None:
    if isinstance(work, Row) and work.cancelled:
        work.done.set_result(Answer("", (), 0.0, "cancelled", len(work.tokens)))
    else:
        work.done.set_exception(DeadlineExceeded("nobody waited for it any more in the queue"))
