from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
from rejoinder.core.clock import ManualClock
from rejoinder.core.errors import DataLoss, DeadlineExceeded, Draining, QueueFull, TooLong
from rejoinder.runtime.batching.batcher import Batcher, Report
from rejoinder.runtime.batching.plan import Limits


class Model:
    """Doubles its rows, one batch at a time, and only when the test lets it. owns: what it has computed."""

    def __init__(self, open_gate: bool = True) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(10_000 if open_gate else 0)

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.entered.release()
        self.gate.acquire()
        self.batches.append(list(rows))
        return [2 * row for row in rows]

    async def busy(self) -> None:
        await asyncio.to_thread(self.entered.acquire)

    @property
    def computed(self) -> list[int]:
        return sorted(row for batch in self.batches for row in batch)


class Seen:
    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.given_up = 0

    def gave_up(self, rows: int) -> None:
        self.given_up += rows


@pytest.fixture
async def started():
    """Makes started batchers and closes them."""
    made = []

    async def start(model, seen=None, clock=None, **limits):
        seen = seen or Seen()
        batcher = Batcher(model, Limits(**limits), clock or ManualClock(), seen.reports.append, seen.gave_up)
        await batcher.start()
        made.append((batcher, model))
        return batcher

    yield start
    for batcher, model in made:
        if isinstance(model, Model):
            model.gate.release(10_000)
        await batcher.close()


async def test_every_caller_gets_the_results_of_its_own_rows_in_order(started):
    model = Model()
    batcher = await started(model, max_tokens=40, window=16)
    calls = [list(range(n, n + n % 7 + 1)) for n in range(0, 300, 10)]
    answers = await asyncio.gather(
        *(batcher.submit(rows, [1 + row % 9 for row in rows], tenant=str(rows[0] % 3)) for rows in calls)
    )
    assert answers == [[2 * row for row in rows] for rows in calls]
    assert model.computed == sorted(row for rows in calls for row in rows)
    assert len(model.batches) < len(model.computed)


async def test_rows_of_a_caller_that_left_are_never_computed(started):
    model, seen = Model(open_gate=False), Seen()
    batcher = await started(model, seen, max_tokens=10)
    first = asyncio.create_task(batcher.submit([1], [10]))
    await model.busy()
    left = asyncio.create_task(batcher.submit([2, 3], [10, 10]))
    stays = asyncio.create_task(batcher.submit([4], [10]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert batcher.queued_tokens == 30
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert batcher.queued_tokens == 10
    model.gate.release(10)
    assert (await first, await stays) == ([2], [8])
    assert model.computed == [1, 4]
    assert seen.given_up == 2


async def test_rows_whose_deadline_passes_in_the_queue_fail_and_are_never_computed(started):
    model, clock, seen = Model(open_gate=False), ManualClock(), Seen()
    batcher = await started(model, seen, clock, max_tokens=10)
    first = asyncio.create_task(batcher.submit([1], [10]))
    await model.busy()
    late = asyncio.create_task(batcher.submit([2], [10], deadline=clock.monotonic() + 1.0))
    timely = asyncio.create_task(batcher.submit([3], [10], deadline=clock.monotonic() + 9.0))
    await asyncio.sleep(0)
    clock.advance(2.0)
    model.gate.release(10)
    with pytest.raises(DeadlineExceeded):
        await late
    assert (await first, await timely) == ([2], [6])
    assert model.computed == [1, 3]
    assert seen.given_up == 1


async def test_a_full_queue_refuses_the_whole_request_and_says_when_to_come_again(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10, max_queued_tokens=30)
    first = asyncio.create_task(batcher.submit([1], [10]))
    await model.busy()
    waiting = asyncio.create_task(batcher.submit([2, 3], [10, 10]))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull) as refused:
        await batcher.submit([4, 5], [10, 10])
    assert refused.value.retry_after_s >= 0.05
    assert batcher.queued_tokens == 20
    model.gate.release(10)
    assert (await first, await waiting) == ([2], [4, 6])
    assert await batcher.submit([4, 5], [10, 10]) == [8, 10]


async def test_what_no_empty_queue_would_take_is_too_long_and_not_worth_a_retry(started):
    batcher = await started(Model(), max_tokens=10, max_queued_tokens=30)
    with pytest.raises(TooLong):
        await batcher.submit([1], [11])
    with pytest.raises(TooLong):
        await batcher.submit([1, 2, 3, 4], [10, 10, 10, 10])


async def test_an_interactive_row_overtakes_waiting_batch_work(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10)
    first = asyncio.create_task(batcher.submit([0], [10]))
    await model.busy()
    bulk = asyncio.create_task(batcher.submit([1, 2, 3], [10, 10, 10], background=True))
    await asyncio.sleep(0)
    urgent = asyncio.create_task(batcher.submit([9], [10]))
    await asyncio.sleep(0)
    model.gate.release(10)
    await asyncio.gather(first, bulk, urgent)
    assert model.batches == [[0], [9], [1], [2], [3]]


async def test_a_failing_model_fails_its_batch_and_serves_the_next(started):
    class Fails:
        calls = 0

        def __call__(self, rows):
            self.calls += 1
            if self.calls == 1:
                raise DataLoss("gone")
            return rows

    batcher = await started(Fails())
    with pytest.raises(DataLoss):
        await batcher.submit([1], [1])
    assert await batcher.submit([2], [1]) == [2]


async def test_a_model_that_loses_a_row_fails_the_batch_and_not_the_lane(started):
    batcher = await started(lambda rows: rows[1:])
    with pytest.raises(ValueError, match="shorter"):
        await batcher.submit([1, 2], [1, 1])
    with pytest.raises(ValueError, match="shorter"):
        await batcher.submit([1, 2], [1, 1])


async def test_closing_ends_the_batch_at_work_and_refuses_what_waits(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10)
    first = asyncio.create_task(batcher.submit([1], [10]))
    await model.busy()
    waits = asyncio.create_task(batcher.submit([2], [10]))
    await asyncio.sleep(0)
    closing = asyncio.create_task(batcher.close())
    with pytest.raises(Draining):
        await waits
    model.gate.release(10)
    await closing
    assert await first == [2]
    assert model.computed == [1]
    with pytest.raises(Draining):
        await batcher.submit([3], [1])


async def test_the_report_of_a_batch_tells_fill_padding_and_waiting(started):
    model, clock, seen = Model(open_gate=False), ManualClock(), Seen()
    batcher = await started(model, seen, clock, max_tokens=100)
    call = asyncio.create_task(batcher.submit([1, 2, 3], [10, 20, 30]))
    await model.busy()
    clock.advance(0.5)
    model.gate.release(10)
    await call
    await asyncio.sleep(0)
    assert seen.reports == [Report(3, 60, 90, 100, (0.0, 0.0, 0.0), 0.5)]


async def test_several_lanes_compute_at_once(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10, lanes=2)
    calls = [asyncio.create_task(batcher.submit([n], [10])) for n in range(3)]
    await model.busy()
    await model.busy()
    assert batcher.queued_tokens == 10
    model.gate.release(10)
    assert await asyncio.gather(*calls) == [[0], [2], [4]]


class HangsUp(ManualClock):
    """Whoever asks for the time past `at` finds that a caller has just left."""

    def __init__(self) -> None:
        super().__init__()
        self.at = float("inf")
        self.caller: asyncio.Task | None = None

    def monotonic(self) -> float:
        now = super().monotonic()
        if now > self.at and self.caller is not None:
            self.caller.cancel()
        return now


async def test_a_caller_that_leaves_just_as_its_deadline_passes_does_not_end_the_lane(started):
    model, seen, clock = Model(open_gate=False), Seen(), HangsUp()
    batcher = await started(model, seen, clock)
    first = asyncio.create_task(batcher.submit([1], [4]))
    await model.busy()
    clock.at = clock.monotonic() + 1.0
    clock.caller = asyncio.create_task(batcher.submit([2, 3], [4, 4], deadline=clock.at))
    await asyncio.sleep(0)
    clock.advance(2.0)
    model.gate.release(10)
    assert await first == [2]
    with pytest.raises(asyncio.CancelledError):
        await clock.caller
    assert await asyncio.wait_for(batcher.submit([5], [4]), 60) == [10]
    assert model.computed == [1, 5]
    assert seen.given_up == 2


async def measured(batcher: Batcher, model: Model, clock: ManualClock, sizes=(10, 20)) -> None:
    """Batches of one row of each size, which take a tenth of a second a token; the first counts for nothing."""
    for size in (1, *sizes):
        call = asyncio.create_task(batcher.submit([size], [size]))
        await model.busy()
        clock.advance(size / 10)
        model.gate.release()
        await call
        await asyncio.sleep(0)


async def test_what_would_be_done_too_late_is_refused_as_it_comes(started):
    model, clock = Model(open_gate=False), ManualClock()
    batcher = await started(model, None, clock, max_tokens=20, headroom=1.0)
    await measured(batcher, model, clock)
    at_work = asyncio.create_task(batcher.submit([1], [20]))
    await model.busy()
    # Two seconds are left of the batch at work and its own one: three.
    with pytest.raises(QueueFull) as refused:
        await batcher.submit([2], [10], deadline=clock.monotonic() + 2.5)
    assert refused.value.retry_after_s == pytest.approx(0.5)
    in_time = asyncio.create_task(batcher.submit([3], [10], deadline=clock.monotonic() + 3.1))
    unhurried = asyncio.create_task(batcher.submit([4], [10]))
    await asyncio.sleep(0)
    model.gate.release(10)
    assert [await each for each in (at_work, in_time, unhurried)] == [[2], [6], [8]]


async def test_an_idle_model_takes_whoever_comes_however_slow_it_was(started):
    """Else nobody would ever find out that it has become faster."""
    model, clock = Model(open_gate=False), ManualClock()
    batcher = await started(model, None, clock, max_tokens=20)
    await measured(batcher, model, clock)
    model.gate.release(10)
    assert await batcher.submit([5], [20], deadline=clock.monotonic() + 0.1) == [10]


async def test_of_two_lanes_the_idle_one_takes_whoever_comes(started):
    model, clock = Model(open_gate=False), ManualClock()
    batcher = await started(model, None, clock, max_tokens=20, lanes=2)
    await measured(batcher, model, clock)
    long = asyncio.create_task(batcher.submit([1], [20]))
    await model.busy()
    hurried = asyncio.create_task(batcher.submit([2], [20], deadline=clock.monotonic() + 0.1))
    await asyncio.sleep(0)
    assert not hurried.done()
    model.gate.release(10)
    assert [await long, await hurried] == [[2], [4]]


@pytest.mark.parametrize(("left_s", "taken"), [(3.5, False), (4.5, True)])
async def test_a_batch_is_not_thought_to_be_shared_by_two_lanes(left_s, taken, started):
    """Two seconds are left of what is at work and two are its own, on however many lanes."""
    model, clock = Model(open_gate=False), ManualClock()
    batcher = await started(model, None, clock, max_tokens=20, lanes=2)
    await measured(batcher, model, clock)
    long = [asyncio.create_task(batcher.submit([n], [20])) for n in (1, 2)]
    for _ in long:
        await model.busy()
    hurried = asyncio.create_task(batcher.submit([3], [20], deadline=clock.monotonic() + left_s))
    await asyncio.sleep(0)
    assert hurried.done() != taken
    model.gate.release(10)
    await asyncio.gather(*long)
    if taken:
        assert await hurried == [6]
    else:
        with pytest.raises(QueueFull):
            await hurried


async def test_a_request_whose_own_work_takes_most_of_its_time_is_taken_beside_another_at_work(started):
    model, clock = Model(open_gate=False), ManualClock()
    batcher = await started(model, None, clock, max_tokens=20, headroom=0.4)
    await measured(batcher, model, clock)
    small = asyncio.create_task(batcher.submit([1], [10], tenant="a"))
    await model.busy()
    # A second is left of the batch at work, eight are its own.
    large = asyncio.create_task(batcher.submit([2] * 4, [20] * 4, tenant="b", deadline=clock.monotonic() + 9.5))
    await asyncio.sleep(0)
    assert batcher.queued_tokens == 80
    with pytest.raises(QueueFull):
        await batcher.submit([3] * 4, [20] * 4, tenant="c", deadline=clock.monotonic() + 16.0)
    model.gate.release(10)
    assert [await small, await large] == [[2], [4] * 4]


async def test_a_tenant_leaves_room_in_the_queue_for_one_who_comes_later(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10, max_queued_tokens=90)
    first = asyncio.create_task(batcher.submit([0], [10]))
    await model.busy()
    calls, refused = [], 0
    for number in range(12):
        calls.append(asyncio.create_task(batcher.submit([number], [10], tenant="flood")))
        await asyncio.sleep(0)
    assert batcher.queued_tokens == 60
    later = asyncio.create_task(batcher.submit([50], [10], tenant="later"))
    await asyncio.sleep(0)
    model.gate.release(20)
    assert (await first, await later) == ([0], [100])
    refused = sum(isinstance(each, QueueFull) for each in await asyncio.gather(*calls, return_exceptions=True))
    assert refused == 6


async def test_a_check_refuses_as_a_submit_would_and_leaves_nothing_behind(started):
    model = Model(open_gate=False)
    batcher = await started(model, max_tokens=10, max_queued_tokens=30)
    first = asyncio.create_task(batcher.submit([1], [10]))
    await model.busy()
    batcher.check(tokens=30)
    with pytest.raises(QueueFull):
        batcher.check(tokens=31)
    assert batcher.queued_tokens == 0
    model.gate.release(10)
    await first
    await batcher.close()
    with pytest.raises(Draining):
        batcher.check()
