"""One batcher for all encoders: bounded, fair, deadline-aware; the asyncio and thread edge of `batch_plan.plan`.

Of a plan only the first batch is run, then the queue is planned anew: late interactive work waits for one batch at most
and finds room in the next. A cancelled caller's rows leave the queue at once; a row whose deadline passes there is
answered DEADLINE_EXCEEDED when the next batch is formed; neither is computed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from rejoinder.core.clock import Clock
from rejoinder.core.errors import DeadlineExceeded, Draining, QueueFull, TooLong
from rejoinder.runtime.batch_plan import Item, Limits, padded, plan

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Report:
    """A batch that ran. tokens: without padding; budget: `max_tokens`. queue_s: a wait a row; run_s: the model."""

    rows: int
    tokens: int
    padded_tokens: int
    budget: int
    queue_s: tuple[float, ...]
    run_s: float


@dataclass
class _Entry(Generic[T, R]):
    item: Item
    row: T
    done: asyncio.Future[R]


#: Tenants whose last turn is remembered; of more, those served longest ago are forgotten and lead again.
_REMEMBERED = 4096


class Batcher(Generic[T, R]):
    """Rows in, results out. Lives on one event loop. owns: the queue, the lanes and their threads.

    run: computes a batch in a thread: rows → results, in order. observe: told of every batch that ran. on_given_up:
    told how many rows were dropped uncomputed because their caller had left or their deadline had passed.
    """

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[R]],
        limits: Limits,
        clock: Clock,
        observe: Callable[[Report], None] = lambda report: None,
        on_given_up: Callable[[int], None] = lambda rows: None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._clock = clock
        self._observe = observe
        self._on_given_up = on_given_up
        self._queue: dict[int, _Entry[T, R]] = {}
        self._keys = itertools.count()
        self._turns = itertools.count()
        self._last_turn: dict[str, int] = {}
        # Tokens a second, smoothed; before the first batch a guess that only sizes a retry delay.
        self._pace = 5_000.0
        self._closing = False
        self._wake = asyncio.Condition()
        self._lanes: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(limits.lanes, thread_name_prefix="batch")
        self.queued_tokens = 0

    async def start(self) -> None:
        self._lanes = [asyncio.create_task(self._lane()) for _ in range(self._limits.lanes)]

    async def close(self) -> None:
        """Batches at work end, waiting rows fail with DRAINING."""
        self._closing = True
        for entry in self._leave(list(self._queue)):
            _fail(entry.done, Draining("the model is being unloaded", retry_after_s=1.0))
        async with self._wake:
            self._wake.notify_all()
        await asyncio.gather(*self._lanes)
        self._threads.shutdown()

    async def submit(
        self,
        rows: Sequence[T],
        tokens: Sequence[int],
        *,
        tenant: str = "",
        deadline: float | None = None,
        background: bool = False,
    ) -> list[R]:
        """Results of rows, in order; all of them are admitted or none is.

        tokens: each row's length. Raises QueueFull (with retry_after_s), TooLong for a row or a request that not even
        an empty queue would take, DeadlineExceeded, Draining, or what `run` raised.
        """
        total = sum(tokens)
        self._admit(total, max(tokens, default=0))
        now, loop = self._clock.monotonic(), asyncio.get_running_loop()
        entries = [
            _Entry(Item(next(self._keys), size, now, tenant, deadline, background), row, loop.create_future())
            for row, size in zip(rows, tokens, strict=True)
        ]
        self._queue.update((entry.item.key, entry) for entry in entries)
        self.queued_tokens += total
        try:
            async with self._wake:
                self._wake.notify(self._limits.lanes)
            return list(await asyncio.gather(*(entry.done for entry in entries)))
        finally:
            # Cancelled, expired or failed: what still waits of this call is for nobody.
            self._gave_up(self._leave([entry.item.key for entry in entries]))
            for entry in entries:
                entry.done.cancel()

    def _admit(self, total: int, longest: int) -> None:
        limits = self._limits
        if self._closing:
            raise Draining("the model is being unloaded", retry_after_s=1.0)
        if longest > limits.max_tokens:
            raise TooLong("row", longest, limits.max_tokens, "tokens")
        if total > limits.max_queued_tokens:
            raise TooLong("request", total, limits.max_queued_tokens, "tokens")
        over = self.queued_tokens + total - limits.max_queued_tokens
        if over > 0:
            raise QueueFull("the model's queue is full", retry_after_s=min(max(over / self._pace, 0.05), 30.0))

    def _leave(self, keys: Iterable[int]) -> list[_Entry[T, R]]:
        """Takes rows out of the queue; those already out are passed over."""
        found = [self._queue.pop(key) for key in keys if key in self._queue]
        self.queued_tokens -= sum(entry.item.tokens for entry in found)
        return found

    def _gave_up(self, entries: Sequence[_Entry[T, R]]) -> None:
        if entries:
            self._on_given_up(len(entries))

    async def _lane(self) -> None:
        while not self._closing:
            async with self._wake:
                await self._wake.wait_for(lambda: self._queue or self._closing)
            batch = self._next()
            if batch:
                await self._compute(batch)

    def _next(self) -> list[_Entry[T, R]]:
        """The batch to run, taken from the queue; the expired are answered."""
        waiting = (entry.item for entry in self._queue.values())
        planned = plan(waiting, self._clock.monotonic(), self._limits, self._last_turn)
        late = self._leave([item.key for item in planned.expired])
        for entry in late:
            _fail(entry.done, DeadlineExceeded("the deadline passed in the queue"))
        self._gave_up(late)
        if not planned.batches:
            return []
        batch = self._leave([item.key for item in planned.batches[0]])
        turn = next(self._turns)
        self._last_turn.update((entry.item.tenant, turn) for entry in batch)
        if len(self._last_turn) > _REMEMBERED:
            newest = sorted(self._last_turn, key=self._last_turn.__getitem__)[-_REMEMBERED // 2 :]
            self._last_turn = {tenant: self._last_turn[tenant] for tenant in newest}
        return batch

    async def _compute(self, batch: Sequence[_Entry[T, R]]) -> None:
        began, loop = self._clock.monotonic(), asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._threads, self._run, [entry.row for entry in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as error:
            for entry in batch:
                _fail(entry.done, error)
            return
        for entry, result in pairs:
            if not entry.done.done():
                entry.done.set_result(result)
        self._report([entry.item for entry in batch], began, self._clock.monotonic() - began)

    def _report(self, items: Sequence[Item], began: float, took: float) -> None:
        tokens = sum(item.tokens for item in items)
        self._pace += 0.2 * (tokens / max(took, 1e-6) - self._pace)
        waits = tuple(began - item.arrived for item in items)
        self._observe(Report(len(items), tokens, padded(items), self._limits.max_tokens, waits, took))


def _fail(done: asyncio.Future[R], error: Exception) -> None:
    """Answers a row unless its caller has gone: a cancelled caller's row leaves the queue a turn of the loop later."""
    if not done.done():
        done.set_exception(error)
