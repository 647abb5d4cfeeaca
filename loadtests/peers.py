"""Peers at their best: each one's best of its settings is searched and said, then all take turns.

A peer is a start command, a work (what one request is) and its settings. Figures of a machine that others use too are
compared within one run only: every round measures every side once, in turns, and medians of at least five count.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeVar

from loadtests.openloop.generator import Findings, StepFailed, Visit, Work
from loadtests.processes import Measured
from loadtests.report import Row

Setting = Mapping[str, Any]
T = TypeVar("T")

#: Medians of fewer rounds are no medians.
LEAST_ROUNDS = 5
_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Peer:
    """command: a setting → what is started, without interpreter and ready file (it must say its port as
    `processes.say_ready` does). work: the port → what one request is. settings: three or so, what its manual offers.
    python: the interpreter of its environment."""

    name: str
    command: Callable[[Setting], Sequence[str]]
    work: Callable[[int], Work]
    settings: Sequence[Setting]
    python: Path = Path(sys.executable)


@dataclass(frozen=True)
class Load:
    """A closed loop: so many callers, so many requests in all. warm_up: requests before them."""

    callers: int
    requests: int
    warm_up: int = 0


@dataclass(frozen=True)
class Figures:
    """Of one turn. rate: right answers a second. Latencies in seconds, from the call."""

    rate: float
    p50_s: float
    p99_s: float


class NotAnswered(RuntimeError):
    """A peer failed requests: its figures would be of something else."""


class Running:
    """A peer with one of its settings. owns: its process."""

    def __init__(self, peer: Peer, setting: Setting, folder: Path) -> None:
        self.name = peer.name
        self._work = peer.work
        name = f"{peer.name}-{peer.settings.index(setting)}"
        self._process = Measured(name, folder, peer.command(setting), python=peer.python)

    def take(self, load: Load) -> Figures:
        """One turn. Raises NotAnswered."""
        return asyncio.run(self._taken(load))

    def close(self) -> None:
        self._process.close()

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _taken(self, load: Load) -> Figures:
        work = self._work(self._process.port)
        try:
            await closed_loop(work, range(load.warm_up), load.callers)
            found = await closed_loop(work, range(load.warm_up, load.warm_up + load.requests), load.callers)
        finally:
            await work.close()
        tallies = list(found.tallies.values())
        errors = {reason for tally in tallies for reason in tally.errors}
        if errors:
            raise NotAnswered(f"{self.name}: {', '.join(sorted(errors))}")
        (tally,) = tallies
        return Figures(tally.good / found.wall_s, tally.answers.at(50), tally.answers.at(99))


async def closed_loop(work: Work, numbers: range, callers: int) -> Findings:
    """Each caller has one visit under way, the next when it ends."""
    loop, found, left = asyncio.get_running_loop(), Findings(), iter(numbers)

    async def call() -> None:
        for number in left:
            try:
                await work.visit(number, Visit(loop.time(), _DEADLINE_S, found.tallies))
            except StepFailed:
                continue

    began = loop.time()
    await asyncio.gather(*(call() for _ in range(callers)))
    found.wall_s = loop.time() - began
    return found


def best_of(peer: Peer, folder: Path, load: Load, tries: int = 3, say: Callable[[str], None] = print) -> Setting:
    """The setting with the highest rate (median of `tries`), each started alone and warmed up; the search is said."""
    rates = []
    for setting in peer.settings:
        with Running(peer, setting, folder) as running:
            rates.append(median(running.take(load).rate for _ in range(tries)))
        say(f"{peer.name} {json.dumps(dict(setting))}: {rates[-1]:.1f}/s")
    best = peer.settings[rates.index(max(rates))]
    say(f"{peer.name}: its best is {json.dumps(dict(best))}")
    return best


def in_turn(sides: Sequence[T], turn: int) -> list[T]:
    """The order of a round: another begins each time, so that nobody is always the first after another."""
    at = turn % len(sides)
    return [*sides[at:], *sides[:at]]


def alternated(
    peers: Sequence[tuple[Peer, Setting]], folder: Path, load: Load, rounds: int = LEAST_ROUNDS
) -> dict[str, list[Figures]]:
    """Name → its figures, one a round. All run at once and are measured in turns. Raises ValueError for too few
    rounds."""
    if rounds < LEAST_ROUNDS:
        raise ValueError(f"{rounds} rounds; at least {LEAST_ROUNDS} make a median")
    with ExitStack() as stack:
        sides = [stack.enter_context(Running(peer, setting, folder)) for peer, setting in peers]
        found: dict[str, list[Figures]] = {side.name: [] for side in sides}
        for turn in range(rounds):
            for side in in_turn(sides, turn):
                found[side.name].append(side.take(load))
    return found


def rate_row(name: str, found: Mapping[str, Sequence[Figures]], ours: str, peer: str, demand: float | None) -> Row:
    """Medians of the rates. demand: the least ratio ours / peer."""
    rates = {side: median(figures.rate for figures in found[side]) for side in (ours, peer)}
    return Row(name, rates[ours], rates[peer], "requests/s", demand, least=True)


def spread(figures: Sequence[Figures]) -> dict[str, float]:
    """Of the rates of a side, for the report beside its median."""
    rates = [each.rate for each in figures]
    low, _, high = quantiles(rates, n=4)
    return {"least": min(rates), "quarter": low, "median": median(rates), "three_quarters": high, "most": max(rates)}
