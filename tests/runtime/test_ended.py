from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pytest
from rejoinder.core.errors import LogUnavailable
from rejoinder.runtime.ended import Ended


async def waiting(ended: Ended, futures: list[Future[int]]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(ended.wait(future)) for future in futures]
    await asyncio.sleep(0)
    return tasks


async def test_results_and_errors_come_from_another_thread_each_to_who_waits_for_it() -> None:
    futures: list[Future[int]] = [Future() for _ in range(3)]
    tasks = await waiting(Ended(), futures)

    def end() -> None:
        futures[2].set_result(2)
        futures[0].set_result(0)
        futures[1].set_exception(LogUnavailable("away"))

    thread = threading.Thread(target=end)
    thread.start()
    assert (await tasks[0], await tasks[2]) == (0, 2)
    with pytest.raises(LogUnavailable):
        await tasks[1]
    thread.join()


async def test_what_ends_together_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, woken = asyncio.get_running_loop(), []
    futures: list[Future[int]] = [Future() for _ in range(50)]
    tasks = await waiting(Ended(), futures)
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *given: (woken.append(given), wake(*given)))
    for number, future in enumerate(futures):
        future.set_result(number)
    assert await asyncio.gather(*tasks) == list(range(50))
    assert len(woken) == 1


async def test_every_end_is_told_however_the_threads_interleave() -> None:
    """An end between the last look and the word that none is coming would wait for ever."""
    ended = Ended()
    for _ in range(200):
        futures: list[Future[int]] = [Future() for _ in range(8)]
        tasks = await waiting(ended, futures)
        threads = [threading.Thread(target=future.set_result, args=(1,)) for future in futures]
        for thread in threads:
            thread.start()
        assert sum(await asyncio.wait_for(asyncio.gather(*tasks), 60.0)) == 8
        for thread in threads:
            thread.join()


async def test_a_caller_who_leaves_cancels_nothing_and_is_told_nothing() -> None:
    future: Future[int] = Future()
    (task,) = await waiting(Ended(), [future])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not future.cancelled()
    future.set_exception(LogUnavailable("away"))
    await asyncio.sleep(0)


def test_an_end_after_the_loop_is_told_to_nobody() -> None:
    future: Future[int] = Future()

    async def leave() -> None:
        await waiting(Ended(), [future])

    asyncio.run(leave())
    future.set_result(1)
