from __future__ import annotations

import asyncio

from rejoinder.core.errors import LogUnavailable
from rejoinder.feedback.housekeeping import keep_house


class House:
    """A log that fails its first cleaning. owns: the count of cleanings."""

    def __init__(self) -> None:
        self.rounds = 0
        self.third = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def keep_house(self) -> int:
        self.rounds += 1
        if self.rounds == 3:
            self._loop.call_soon_threadsafe(self.third.set)
        if self.rounds == 1:
            raise LogUnavailable("the disk is away")
        return 7


class Told:
    """What would be logged. owns: the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **facts: object) -> None:
        self.events.append((event, facts))

    warning = info


async def test_a_round_that_fails_is_told_and_the_next_one_comes() -> None:
    house, told, stop = House(), Told(), asyncio.Event()
    keeping = asyncio.create_task(keep_house(house, 0.01, told, stop))
    await asyncio.wait_for(house.third.wait(), 60)
    stop.set()
    await asyncio.wait_for(keeping, 60)
    assert told.events[:2] == [("log_not_cleaned", {"reason": "LOG_UNAVAILABLE"}), ("log_cleaned", {"removed": 7})]


async def test_a_stop_does_not_wait_for_the_next_round() -> None:
    house, stop = House(), asyncio.Event()
    keeping = asyncio.create_task(keep_house(house, 3600.0, Told(), stop))
    stop.set()
    await asyncio.wait_for(keeping, 60)
    assert house.rounds == 0
