"""One process's open loop.

A request is timed from when it *should* have left, not from when it did: where the service stalls and the generator is
held up with it, the requests that would have come meanwhile have waited too (else they are left out of the figures:
coordinated omission). How far the generator itself fell behind is kept beside the figures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rejoinder.core.errors import RejoinderError

from loadtests.openloop.arrivals import times
from loadtests.openloop.scenario import Scenario
from loadtests.openloop.tally import Tally, Times


class NotRight(Exception):
    """No error of the service, and no right answer either. reason: WRONG_ANSWER, NEVER_LEFT."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StepFailed(Exception):
    """A step of a visit was counted as an error; the visit ends."""


class Work(Protocol):
    """What one arrival does, over connections that it owns."""

    async def visit(self, number: int, visit: Visit) -> None:
        """All steps of the arrival of that number. StepFailed passes through."""

    async def close(self) -> None: ...


@dataclass
class Findings:
    """lag: how late visits left. left_out: visits that never left, for too many were under way."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    lag: Times = field(default_factory=Times)
    left_out: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0

    def packed(self) -> dict[str, Any]:
        return {
            "tallies": {name: tally.packed() for name, tally in self.tallies.items()},
            "lag": self.lag.packed(),
            "left_out": self.left_out,
            "busy": self.cpu_s / self.wall_s if self.wall_s else 0.0,
        }


class Visit:
    """One arrival under way. due: when its present step should have left, on the loop's clock."""

    def __init__(self, due: float, deadline_s: float, tallies: dict[str, Tally]) -> None:
        self._due = due
        self._deadline_s = deadline_s
        self._tallies = tallies
        self._step = ""

    async def step(self, name: str, call: Callable[[float], Awaitable[None]]) -> None:
        """Times a call, which is given the seconds that it has left. Raises StepFailed."""
        tally = self._tallies.setdefault(name, Tally())
        self._step = name
        try:
            left = self._deadline_s - self._since()
            if left <= 0:
                raise NotRight("NEVER_LEFT")
            await call(left)
        except (RejoinderError, NotRight) as error:
            tally.failed(reason_of(error), self._since())
            raise StepFailed from error
        tally.answered(self._since(), self._deadline_s)
        # Unless there is a pause the next step is due at once.
        self._due = asyncio.get_running_loop().time()

    def mark(self, name: str) -> None:
        """A moment within the present step."""
        self._tallies[self._step].marked(name, self._since())

    async def pause(self, seconds: float) -> None:
        """What the next step is due after: a person reads what was answered."""
        self._due = asyncio.get_running_loop().time() + seconds
        await asyncio.sleep(seconds)

    def _since(self) -> float:
        return asyncio.get_running_loop().time() - self._due


def reason_of(error: RejoinderError | NotRight) -> str:
    """`RESOURCE_EXHAUSTED QUEUE_FULL`: the status, and the reason where one of our services gave it."""
    if isinstance(error, NotRight):
        return error.reason
    bare = error.metadata.get("grpc_status")
    return bare if bare else f"{error.status} {error.reason}"


async def generate(work: Work, scenario: Scenario, begin: float, part: int = 0, parts: int = 1) -> Findings:
    """Sends the part-th of `parts` of a schedule that begins at `begin` on the loop's clock; ends with the last answer,
    at most a visit's deadlines and pauses after the schedule."""
    loop, found, unseen = asyncio.get_running_loop(), Findings(), {}
    began, cpu = loop.time(), time.process_time()
    under_way = 0

    async def whole(visit: Awaitable[None]) -> None:
        nonlocal under_way
        try:
            await visit
        except StepFailed:
            return
        finally:
            under_way -= 1

    # What no step counts as an error is one of the work itself: it ends the run.
    async with asyncio.TaskGroup() as tasks:
        for number, at in enumerate(times(scenario.arrivals, scenario.warm_up_s + scenario.seconds, scenario.seed)):
            if number % parts != part:
                continue
            due = begin + at
            # Also when late: answers must be read meanwhile.
            await asyncio.sleep(max(0.0, due - loop.time()))
            counted = at >= scenario.warm_up_s
            if counted:
                found.lag.record(loop.time() - due)
            if under_way >= scenario.max_in_flight:
                found.left_out += counted
                continue
            visit = Visit(due, scenario.deadline_s, found.tallies if counted else unseen)
            under_way += 1
            tasks.create_task(whole(work.visit(number, visit)))
    found.cpu_s, found.wall_s = time.process_time() - cpu, loop.time() - began
    return found
