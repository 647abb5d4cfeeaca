"""Token generation on ONNX Runtime GenAI: one base, hot-loaded adapters, one thread that owns the engine.

On a CPU the engine takes a batch whole and gives it back whole, and one adapter serves a whole batch (measured; the
paged engine is CUDA only). So requests are gathered into waves of one version; a wave ends when its last row does, rows
that end or are cancelled earlier cost nothing but their slot. Tokens are chosen here, not by the engine: every row has
its own seed and settings, and its log-probabilities are those of the served distribution at temperature 1.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rejoinder.core.clock import Clock
from rejoinder.core.errors import DeadlineExceeded, Draining, FailedPrecondition, NotFound, QueueFull, TooLong
from rejoinder.core.types import Message, Sampling
from rejoinder.runtime.backends.sampling import choose, log_softmax

#: The adapter name of the bare base.
BASE = ""


@dataclass(frozen=True)
class EngineSettings:
    """max_batch: rows of a wave. max_queue: rows waiting before QueueFull. threads: of the model runtime."""

    max_batch: int = 16
    max_queue: int = 512
    threads: int = 2


@dataclass
class Row:
    """One answer being generated. owns: its progress; touched by the engine's thread alone once submitted.

    on_text gets the text of each token as it comes. deadline: on the clock's monotonic scale; None = none.
    """

    tokens: Sequence[int]
    sampling: Sampling
    adapter: str = BASE
    deadline: float | None = None
    background: bool = False
    on_text: Callable[[str], None] = lambda text: None
    done: Future[Answer] = field(default_factory=Future)
    cancelled: bool = False

    def cancel(self) -> None:
        """Frees the row at the next token; `done` resolves with what there is, finish_reason "cancelled"."""
        self.cancelled = True


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


@dataclass(frozen=True)
class _Likelihood:
    rows: Sequence[tuple[Sequence[int], Sequence[int]]]
    adapter: str
    done: Future[list[float]]


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
        self._adapters = og.Adapters(self._model)
        self._loaded: set[str] = {BASE}
        self._settings = settings
        self._clock = clock
        self.context = int(config["model"]["context_length"])
        ends = config["model"]["eos_token_id"]
        self._ends = frozenset(ends if isinstance(ends, list) else [ends])
        self._pad = int(config["model"]["pad_token_id"])
        self._queue: deque[Row] = deque()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="generation-engine")
        self._thread.start()

    def encode_chat(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation under the model's own chat template, the answer's opening included."""
        plain = [{"role": m.role.value.lower(), "content": m.content} for m in messages]
        text = self._tokenizer.apply_chat_template(json.dumps(plain), add_generation_prompt=True)
        return [int(t) for t in self._tokenizer.encode(text)]

    def encode(self, text: str) -> list[int]:
        return [int(t) for t in self._tokenizer.encode(text)]

    def submit(self, rows: Sequence[Row]) -> None:
        """Queues rows, all or none. Raises TooLong, NotFound (adapter), QueueFull, Draining."""
        for row in rows:
            if len(row.tokens) + 1 > self.context:
                raise TooLong("messages", len(row.tokens), self.context - 1, "tokens")
        with self._wake:
            if self._stopping:
                raise Draining("the engine is stopping")
            unknown = {row.adapter for row in rows} - self._loaded
            if unknown:
                raise NotFound("no adapter of this name is loaded", adapter=min(unknown))
            if len(self._queue) + len(rows) > self._settings.max_queue:
                raise QueueFull("the generation queue is full", retry_after_s=1.0, waiting=len(self._queue))
            self._queue.extend(rows)
            self._wake.notify()

    def likelihood(self, context: Sequence[int], continuations: Sequence[Sequence[int]], adapter: str = BASE) -> Any:
        """A Future of log p(continuation + end | context), nats, one per continuation."""
        end = min(self._ends)
        rows = [(tuple(context), (*continuation, end)) for continuation in continuations]
        longest = max(len(before) + len(after) for before, after in rows)
        if longest > self.context:
            raise TooLong("continuations", longest, self.context, "tokens")
        call = _Likelihood(rows, adapter, Future())
        self._post(lambda: self._score(call))
        return call.done

    def load_adapter(self, name: str, path: Path) -> Future[None]:
        """Makes an adapter file (`.onnx_adapter`) servable under a name; the future resolves when it is."""
        return self._call(lambda: self._load(name, path))

    def unload_adapter(self, name: str) -> Future[None]:
        """Forgets an adapter once no wave uses it. FailedPrecondition for one that is waited for."""
        return self._call(lambda: self._unload(name))

    @property
    def adapters(self) -> frozenset[str]:
        return frozenset(self._loaded)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def close(self) -> None:
        """Finishes the wave in progress and stops; rows still waiting fail with Draining."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join()

    def _call(self, work: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()

        def run() -> None:
            try:
                work()
            except Exception as error:  # handed to the caller through its future
                done.set_exception(error)
            else:
                done.set_result(None)

        self._post(run)
        return done

    def _post(self, work: Callable[[], None]) -> None:
        with self._wake:
            if self._stopping:
                raise Draining("the engine is stopping")
            self._calls.append(work)
            self._wake.notify()

    def _load(self, name: str, path: Path) -> None:
        if name not in self._loaded:
            self._adapters.load(str(path), name)
            self._loaded.add(name)

    def _unload(self, name: str) -> None:
        with self._wake:
            if any(row.adapter == name for row in self._queue):
                raise FailedPrecondition("answers of this version are waiting", adapter=name)
            if name not in self._loaded or name == BASE:
                return
            self._loaded.remove(name)
        self._adapters.unload(name)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._stopping or self._calls or self._queue)
                calls = list(self._calls)
                self._calls.clear()
                wave = [] if self._stopping else self._next_wave()
                stopping = self._stopping
                left = list(self._queue) if stopping else []
            for call in calls:
                call()
            if stopping:
                for row in left:
                    row.done.set_exception(Draining("the engine is stopping"))
                return
            if wave:
                self._generate(wave)

    def _next_wave(self) -> list[Row]:
        """The oldest interactive row and those of its version, in order; background rows fill up or wait."""
        now = self._clock.monotonic()
        for row in [r for r in self._queue if r.cancelled or (r.deadline is not None and r.deadline <= now)]:
            self._queue.remove(row)
            if row.cancelled:
                row.done.set_result(Answer("", (), 0.0, "cancelled", len(row.tokens)))
            else:
                row.done.set_exception(DeadlineExceeded("the deadline passed in the queue"))
        if not self._queue:
            return []
        ordered = sorted(self._queue, key=lambda row: row.background)
        wave = [row for row in ordered if row.adapter == ordered[0].adapter][: self._settings.max_batch]
        for row in wave:
            self._queue.remove(row)
        return wave

    def _generator(self, rows: int, length: int, adapter: str) -> Any:
        parameters = self._og.GeneratorParams(self._model)
        parameters.set_search_options(max_length=length, batch_size=rows, do_sample=False)
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

    def _generate(self, wave: list[Row]) -> None:
        try:
            self._decode([_Progress(row, self._tokenizer.create_stream(), self._ends, self.context) for row in wave])
        except Exception as error:  # the engine's own failure: every caller of the wave hears of it
            for row in wave:
                if not row.done.done():
                    row.done.set_exception(error)

    def _decode(self, rows: list[_Progress]) -> None:
        prompt = self._padded([r.row.tokens for r in rows])
        length = min(self.context, prompt.shape[1] + max(r.limit for r in rows) + 1)
        generator = self._generator(len(rows), length, rows[0].row.adapter)
        generator.append_tokens(prompt)
        for _ in range(length - prompt.shape[1]):
            logits = np.asarray(generator.get_logits()).reshape(len(rows), -1)
            log_probs = log_softmax(logits)
            forced = np.full(logits.shape, -1e9, np.float32)
            now = self._clock.monotonic()
            for number, progress in enumerate(rows):
                forced[number, progress.step(log_probs[number], now)] = 1e9
            if all(r.finished for r in rows):
                break
            generator.set_logits(forced.reshape(len(rows), 1, -1))
            generator.generate_next_token()
        for progress in rows:
            progress.finish("length")

    def _score(self, call: _Likelihood) -> None:
        try:
            values: list[float] = []
            for start in range(0, len(call.rows), self._settings.max_batch):
                values.extend(self._score_batch(call.rows[start : start + self._settings.max_batch], call.adapter))
        except Exception as error:  # handed to the caller through its future
            call.done.set_exception(error)
        else:
            call.done.set_result(values)

    def _score_batch(self, rows: Sequence[tuple[Sequence[int], Sequence[int]]], adapter: str) -> list[float]:
        tokens = self._padded([(*before, *after) for before, after in rows])
        generator = self._generator(len(rows), tokens.shape[1] + 1, adapter)
        generator.append_tokens(tokens)
        logits = np.asarray(generator.get_output("logits"))
        found = []
        for number, (before, after) in enumerate(rows):
            span = log_softmax(logits[number, len(before) - 1 : len(before) + len(after) - 1])
            found.append(float(span[np.arange(len(after)), list(after)].sum()))
        return found


class _Progress:
    """A row while it is generated. owns: its random numbers, its text so far, its stop search."""

    def __init__(self, row: Row, stream: Any, ends: frozenset[int], context: int) -> None:
        self.row = row
        self.finished = False
        self.limit = min(row.sampling.max_tokens or context, context - len(row.tokens))
        self._stream = stream
        self._ends = ends
        self._random = np.random.default_rng(row.sampling.seed)
        self._tokens: list[int] = []
        self._text = ""
        self._sent = 0
        self._log_prob = 0.0

    def step(self, log_probs: np.ndarray, now: float) -> int:
        """The next token of this row (an end token once it is finished)."""
        end = min(self._ends)
        if self.finished:
            return end
        if self.row.cancelled:
            self.finish("cancelled")
            return end
        if self.row.deadline is not None and self.row.deadline <= now:
            self.finish("deadline")
            return end
        token = choose(log_probs, self.row.sampling, self._random)
        self._tokens.append(token)
        self._log_prob += float(log_probs[token])
        if token in self._ends:
            self.finish("stop")
            return token
        self._text += self._stream.decode(token)
        cut = self._stop_at()
        if cut is not None:
            self._text = self._text[:cut]
            self.finish("stop_sequence")
        elif len(self._tokens) >= self.limit:
            self.finish("length")
        else:
            self._send(len(self._text) - self._held_back())
        return end if self.finished else token

    def finish(self, reason: str) -> None:
        if self.finished:
            return
        self.finished = True
        self._send(len(self._text))
        answer = Answer(self._text, tuple(self._tokens), self._log_prob, reason, len(self.row.tokens))
        self.row.done.set_result(answer)

    def _send(self, until: int) -> None:
        if until > self._sent:
            self.row.on_text(self._text[self._sent : until])
            self._sent = until

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
