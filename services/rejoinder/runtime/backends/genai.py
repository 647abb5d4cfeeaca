"""Token generation on ONNX Runtime GenAI: one base, hot-loaded adapters, one thread that owns the engine.

On a CPU the engine takes a batch whole and gives it back whole, and one adapter serves a whole batch (measured; the
paged engine is CUDA only). So requests are gathered into waves of one version, and several waves can live at once, a
token each in turn: a question that comes while a long answer is written need not wait for its end. Tokens are
chosen here, not by the engine: every row has its own seed and settings, and its log-probabilities are those of the
served distribution at temperature 1. Work nobody watches (samples, likelihoods) gets at most half of the time.

Few large waves write more tokens a second than many small ones (16 callers, a tiny model: 7,300 in one wave at a time,
3,400 in four), so a wave is begun beside another only when a row has waited for `patience_s`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.clock import Clock
from rejoinder.core.errors import DeadlineExceeded, Draining, FailedPrecondition, NotFound, QueueFull, TooLong
from rejoinder.core.types import Message
from rejoinder.runtime.backends.chattext import ChatText, control_tokens
from rejoinder.runtime.backends.rows import BASE, Answer, Progress, Row, Scoring, owned_future
from rejoinder.runtime.backends.sampling import log_softmax
from rejoinder.runtime.backends.waves import Wave, next_rows, next_scored

#: Padded tokens of one turn of likelihoods: how long rows that somebody watches may be held up by it.
_SCORED_TOKENS = 1024


@dataclass(frozen=True)
class EngineSettings:
    """max_batch: rows at work at once, watched and background each. max_waves: batches they are spread over.

    patience_s: how long a row waits for the wave before it to end until it begins in one beside it. max_queue: rows
    and continuations waiting before QueueFull. threads: of the model runtime. text_every_s: how often a row's text is
    given out once its first has been.
    """

    max_batch: int = 16
    max_waves: int = 4
    patience_s: float = 0.1
    max_queue: int = 512
    threads: int = 2
    text_every_s: float = 0.02


class GenaiEngine:
    """owns: the model, its adapters, the queue and the thread."""

    def __init__(self, folder: Path, settings: EngineSettings, clock: Clock) -> None:
        """Loads the base of an exported folder (genai_config.json beside the graph). Raises NotFound."""
        if not (folder / "genai_config.json").exists():
            raise NotFound("the folder holds no exported generation model", folder=folder.name)
        import onnxruntime_genai as og

        config = json.loads((folder / "genai_config.json").read_text())
        self._og = og
        options = og.Config(str(folder))
        session = {"intra_op_num_threads": settings.threads, "session.intra_op.allow_spinning": "0"}
        options.overlay(json.dumps({"model": {"decoder": {"session_options": session}}}))
        self._model = og.Model(options)
        self._tokenizer = og.Tokenizer(self._model)
        self._text = ChatText(self._tokenizer, control_tokens(folder))
        self._adapters = og.Adapters(self._model)
        self._loaded: set[str] = {BASE}
        self._settings = settings
        self._clock = clock
        self.context = int(config["model"]["context_length"])
        ends = config["model"]["eos_token_id"]
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        self._pad = int(config["model"]["pad_token_id"])
        self._queue: deque[Row] = deque()
        self._scorings: deque[Scoring] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._waves: list[Wave] = []
        #: Seconds of background work that watched rows have not had yet.
        self._owed = 0.0
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="generation-engine", daemon=True)
        self._thread.start()

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation under the model's own chat template, the answer's opening included."""
        return self._text.chat(messages)

    def encode(self, text: str) -> list[int]:
        return self._text.text(text)

    def submit(self, rows: Sequence[Row]) -> None:
        """Queues rows, all or none. Raises TooLong, NotFound (adapter), QueueFull, Draining."""
        for row in rows:
            if len(row.tokens) + 1 > self.context:
                raise TooLong("messages", len(row.tokens), self.context - 1, "tokens")
        now = self._clock.monotonic()
        with self._wake:
            self._admit({row.adapter for row in rows}, len(rows))
            for row in rows:
                row.since = now
            self._queue.extend(rows)
            self._wake.notify()

    def likelihood(
        self,
        context: Sequence[int],
        continuations: Sequence[Sequence[int]],
        adapter: str = BASE,
        deadline: float | None = None,
    ) -> Scoring:
        """log p(continuation + end | context), nats, one per continuation, in `done`. Raises as submit does."""
        end = min(self._ends)
        asked = Scoring([(tuple(context), (*found, end)) for found in continuations], adapter, deadline)
        longest = max(len(before) + len(after) for before, after in asked.rows)
        # The engine wants room for a token that is never made.
        if longest + 1 > self.context:
            raise TooLong("continuations", longest, self.context - 1, "tokens")
        with self._wake:
            self._admit({adapter}, len(asked.rows))
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
        """Rows and continuations not begun."""
        return len(self._queue) + sum(len(asked.rows) - len(asked.values) for asked in tuple(self._scorings))

    def close(self) -> None:
        """Finishes the waves in progress and stops; what still waits fails with Draining."""
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
            self._adapters.load(str(path), name)
            self._loaded.add(name)

    def _unload(self, name: str) -> None:
        with self._wake:
            used = (*self._queue, *self._scorings, *self._waves)
            if any(work.adapter == name for work in used):
                raise FailedPrecondition("answers of this version are waiting or being written", adapter=name)
            if name not in self._loaded or name == BASE:
                return
            self._loaded.remove(name)
        self._adapters.unload(name)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(
                    lambda: self._stopping or self._calls or self._queue or self._scorings or self._waves
                )
                calls = list(self._calls)
                self._calls.clear()
                gone = self._stopped() if self._stopping else self._expired()
                begun = [] if self._stopping else self._begun()
            for call in calls:
                call()
            for end in gone:
                end()
            for rows in begun:
                self._begin(rows)
            if self._stopping and not self._waves:
                return
            self._turn()

    def _stopped(self) -> list[Callable[[], None]]:
        """Ends everything that waits."""
        waiting = [work.done for work in (*self._queue, *self._scorings)]
        self._queue.clear()
        self._scorings.clear()
        return [lambda done=done: done.set_exception(Draining("the engine is stopping")) for done in waiting]

    def _expired(self) -> list[Callable[[], None]]:
        """Takes out what nobody waits for any more: nothing is computed for nobody."""
        now = self._clock.monotonic()
        ends: list[Callable[[], None]] = []
        for waiting in (self._queue, self._scorings):
            gone = [work for work in waiting if _unwanted(work, now)]
            for work in gone:
                waiting.remove(work)
                ends.append(lambda work=work: _end_unbegun(work))
        return ends

    def _begun(self) -> list[list[Row]]:
        """The rows of the waves to begin now, watched and background apart, as far as there is room."""
        found = []
        late = self._clock.monotonic() - self._settings.patience_s
        for background, waves in ((False, self._settings.max_waves), (True, 1)):
            running = [wave for wave in self._waves if wave.background is background]
            room = self._settings.max_batch - sum(wave.live for wave in running)
            waiting = [row for row in self._queue if row.background is background]
            if waiting and room > 0 and len(running) < waves and (not running or waiting[0].since <= late):
                rows = next_rows(waiting, room, self.context)
                for row in rows:
                    self._queue.remove(row)
                found.append(rows)
        return found

    def _begin(self, rows: list[Row]) -> None:
        every_s = self._settings.text_every_s
        progress = [Progress(row, self._tokenizer.create_stream(), self._ends, self.context, every_s) for row in rows]
        try:
            prompt = self._padded([row.tokens for row in rows])
            length = min(self.context, prompt.shape[1] + max(row.limit(self.context) for row in rows) + 1)
            generator = self._generator(len(rows), length, rows[0].adapter)
            generator.append_tokens(prompt)
        except Exception as error:  # the engine's own failure: every caller of the wave hears of it
            for row in progress:
                row.fail(error)
            return
        self._waves.append(Wave(generator, progress, length - prompt.shape[1], min(self._ends)))

    def _turn(self) -> None:
        """A token for every watched row; then, unless they are owed time, a turn of work that nobody watches."""
        started = self._clock.monotonic()
        watched = [wave for wave in self._waves if not wave.background]
        self._step(watched)
        between = self._clock.monotonic()
        self._owed = max(0.0, self._owed - (between - started)) if watched else 0.0
        if self._owed > 0:
            return
        self._step([wave for wave in self._waves if wave.background])
        if self._scorings and not self._stopping and not _unwanted(self._scorings[0], between):
            self._score()
        self._owed = self._clock.monotonic() - between

    def _step(self, waves: Sequence[Wave]) -> None:
        for wave in waves:
            if not wave.step(self._clock.monotonic()):
                self._waves.remove(wave)

    def _generator(self, rows: int, length: int, adapter: str) -> Any:
        parameters = self._og.GeneratorParams(self._model)
        # A seed, though nothing is drawn there: without one each generator asks the CPU for 624 random words (12 ms).
        parameters.set_search_options(max_length=length, batch_size=rows, do_sample=False, random_seed=1)
        generator = self._og.Generator(self._model, parameters)
        if adapter != BASE:
            generator.set_active_adapter(self._adapters, adapter)
        return generator

    def _padded(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """(B, T) int32, padded on the right: the side this engine reads correctly (measured)."""
        out = np.full((len(rows), max(map(len, rows))), self._pad, np.int32)
        for number, row in enumerate(rows):
            out[number, : len(row)] = row
        return out

    def _score(self) -> None:
        """The next rows of the oldest scoring and of those of its version behind it, as many as a turn may take."""
        chosen = next_scored(self._scorings, self._settings.max_batch, _SCORED_TOKENS)
        try:
            values = self._log_probs([row for _, row in chosen], chosen[0][0].adapter)
        except Exception as error:  # handed to every caller through its future
            for asked in dict.fromkeys(asked for asked, _ in chosen):
                self._scorings.remove(asked)
                asked.done.set_exception(error)
            return
        for (asked, _), value in zip(chosen, values, strict=True):
            asked.values.append(value)
            if len(asked.values) == len(asked.rows):
                self._scorings.remove(asked)
                asked.done.set_result(asked.values)

    def _log_probs(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]], adapter: str) -> list[float]:
        tokens = self._padded([(*before, *after) for before, after in rows])
        generator = self._generator(len(rows), tokens.shape[1] + 1, adapter)
        generator.append_tokens(tokens)
        logits = np.asarray(generator.get_output("logits"))
        found = []
        for number, (before, after) in enumerate(rows):
            span = log_softmax(logits[number, len(before) - 1 : len(before) + len(after) - 1])
            found.append(float(span[np.arange(len(after)), list(after)].sum()))
        return found


def _unwanted(work: Row | Scoring, now: float) -> bool:
    return work.cancelled or (work.deadline is not None and work.deadline <= now)


def _end_unbegun(work: Row | Scoring) -> None:
    if isinstance(work, Row) and work.cancelled:
        work.done.set_result(Answer("", (), 0.0, "cancelled", len(work.tokens)))
    else:
        work.done.set_exception(DeadlineExceeded("nobody waited for it any more in the queue"))
