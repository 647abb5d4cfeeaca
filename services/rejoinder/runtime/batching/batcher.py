"""One batcher for all encoders: bounded, fair, deadline-aware; the asyncio and thread edge of `plan.plan`.

Of a plan only the first batch is run, then the queue is planned anew: late interactive work waits for one batch at most
and finds room in the next. A cancelled caller's rows leave the queue at once; a row whose deadline passes there is
answered DEADLINE_EXCEEDED when the next batch is formed; neither is computed. What would not be done before its
deadline, at the pace of late and behind what goes before it, is refused as it comes: its caller can still turn to
somebody else, and no time is spent on what nobody will read.
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
from rejoinder.runtime.batching.backlog import Backlog
from rejoinder.runtime.batching.pace import Pace
from rejoinder.runtime.batching.plan import Item, Limits, padded, plan

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


#: A tenant may hold so many times what is free of the queue: alone two thirds of it, of two tenants each two fifths
#: (Choudhury and Hahne's dynamic thresholds, 1998). There is always room for one who comes later.
_FREE_TIMES = 2
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
        self._backlog = Backlog()
        self._pace = Pace()
        #: When each batch at work is thought to end.
        self._at_work: dict[int, float] = {}
        self._closing = False
        self._wake = asyncio.Condition()
        self._lanes: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(limits.lanes, thread_name_prefix="batch")

    @property
    def queued_tokens(self) -> int:
        return self._backlog.tokens

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
        self._check_size(sum(tokens), max(tokens, default=0))
        self.check(tenant=tenant, deadline=deadline, background=background, rows=len(rows), tokens=sum(tokens))
        now, loop = self._clock.monotonic(), asyncio.get_running_loop()
        entries = [
            _Entry(Item(next(self._keys), size, now, tenant, deadline, background), row, loop.create_future())
            for row, size in zip(rows, tokens, strict=True)
        ]
        self._queue.update((entry.item.key, entry) for entry in entries)
        self._backlog.join(entry.item for entry in entries)
        try:
            async with self._wake:
                self._wake.notify(self._limits.lanes)
            return list(await asyncio.gather(*(entry.done for entry in entries)))
        finally:
            # Cancelled, expired or failed: what still waits of this call is for nobody.
            self._gave_up(self._leave([entry.item.key for entry in entries]))
            for entry in entries:
                entry.done.cancel()

    def check(
        self,
        *,
        tenant: str = "",
        deadline: float | None = None,
        background: bool = False,
        rows: int = 1,
        tokens: int = 1,
    ) -> None:
        """Raises QueueFull (with retry_after_s) where a request of this size would be refused now, Draining. Costs
        nothing: worth asking before a request is prepared."""
        limits = self._limits
        if self._closing:
            raise Draining("the model is being unloaded", retry_after_s=1.0)
        held, free = self._backlog.held_by(tenant), limits.max_queued_tokens - self._backlog.tokens
        over = max(tokens - free, held + tokens - _FREE_TIMES * free)
        if over > 0:
            raise QueueFull("the model's queue is full", retry_after_s=_pause(self._pace_s(rows, over)))
        # While a lane is idle the model is never thought too slow: its pace would never be measured again.
        if deadline is None or (not self._queue and len(self._at_work) < limits.lanes):
            return
        ahead = self._backlog.until_done(tenant, background, rows, tokens)
        now = self._clock.monotonic()
        at_work = sum(max(0.0, ends - now) for ends in self._at_work.values())
        shared = self._pace_s(rows, tokens)
        queued = self._pace_s(ahead.rows, ahead.tokens) - shared
        # Lanes share batches out; none of them is shared by two.
        own = max(shared, self._batch_s(rows, tokens))
        # How long the queue lasts is doubtful; what is at work and its own rows are not: else a large request would
        # never be taken while anybody else is served, nor a hurried one beside a single other.
        late = queued / limits.headroom + at_work / limits.lanes + own - (deadline - now)
        if late > 0:
            raise QueueFull("the model cannot answer before the deadline", retry_after_s=_pause(late * limits.headroom))

    def _check_size(self, total: int, longest: int) -> None:
        limits = self._limits
        most = max(limits.max_tokens, limits.longest)
        if longest > most:
            raise TooLong("row", longest, most, "tokens")
        if total > limits.max_queued_tokens:
            raise TooLong("request", total, limits.max_queued_tokens, "tokens")

    def _pace_s(self, rows: int, tokens: int) -> float:
        limits = self._limits
        return self._pace.queue_s(rows, tokens, limits.max_rows, limits.max_tokens) / limits.lanes

    def _batch_s(self, rows: int, tokens: int) -> float:
        """Of one batch with as many of these as it holds."""
        limits = self._limits
        most = (limits.max_rows, limits.max_tokens)
        return self._pace.queue_s(min(rows, most[0]), min(tokens, most[1]), *most)

    def _leave(self, keys: Iterable[int]) -> list[_Entry[T, R]]:
        """Takes rows out of the queue; those already out are passed over."""
        found = [self._queue.pop(key) for key in keys if key in self._queue]
        self._backlog.leave(entry.item for entry in found)
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
        planned = plan(waiting, self._clock.monotonic(), self._limits, self._last_turn, self._pace.batch_s)
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
        key = batch[0].item.key
        self._at_work[key] = began + self._pace.batch_s(padded([entry.item for entry in batch]))
        try:
            results = await loop.run_in_executor(self._threads, self._run, [entry.row for entry in batch])
            pairs = list(zip(batch, results, strict=True))
        except Exception as error:
            for entry in batch:
                _fail(entry.done, error)
            return
        finally:
            del self._at_work[key]
        for entry, result in pairs:
            if not entry.done.done():
                entry.done.set_result(result)
        self._report([entry.item for entry in batch], began, self._clock.monotonic() - began)

    def _report(self, items: Sequence[Item], began: float, took: float) -> None:
        tokens = sum(item.tokens for item in items)
        self._pace.ran(tokens, padded(items), took)
        waits = tuple(began - item.arrived for item in items)
        self._observe(Report(len(items), tokens, padded(items), self._limits.max_tokens, waits, took))


def _pause(seconds: float) -> float:
    """What a refused caller is told to wait."""
    return min(max(seconds, 0.05), 30.0)


def _fail(done: asyncio.Future[R], error: Exception) -> None:
    """Answers a row unless its caller has gone: a cancelled caller's row leaves the queue a turn of the loop later."""
    if not done.done():
        done.set_exception(error)
