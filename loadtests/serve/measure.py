"""Sides take turns; what each took is work done, CPU-seconds of its process and seconds of the clock."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from loadtests.peers import in_turn
from loadtests.report import Row


@dataclass(frozen=True)
class Taken:
    """Of one turn. units: of work done (requests, rows, tokens, …). cpu_s: user and system, all threads of the serving
    process. latencies: seconds of each request, where there are any."""

    units: float
    cpu_s: float
    wall_s: float
    latencies: tuple[float, ...] = ()


@dataclass(frozen=True)
class Side:
    """take: one turn; it is given the turn's number, so that every side has the same work in the same turn."""

    name: str
    take: Callable[[int], Taken]


Found = Mapping[str, Sequence[Taken]]


def alternated(sides: Sequence[Side], rounds: int) -> Found:
    """Name → what it took, one a round. The order turns round by round; a turn before the first warms up and does not
    count."""
    found: dict[str, list[Taken]] = {side.name: [] for side in sides}
    for turn in range(rounds + 1):
        for side in in_turn(sides, turn):
            taken = side.take(turn)
            if turn:
                found[side.name].append(taken)
            cpu, wall = taken.units / max(taken.cpu_s, 1e-9), taken.units / taken.wall_s
            print(f"  round {turn} {side.name:28} {cpu:10.2f} /CPU-s {wall:10.2f} /s", file=sys.stderr)
    return found


def compared(
    name: str, found: Found, ours: str, peer: str, unit: str, demand: float | None, *, clock: bool = True
) -> list[Row]:
    """Work a CPU-second and, where `clock`, a second: medians of the rounds. demand: the least ratio."""
    rows = [_row(f"{name}, CPU", found, ours, peer, f"{unit}/CPU-s", demand, lambda t: t.units / max(t.cpu_s, 1e-9))]
    if clock:
        rows.append(_row(f"{name}, clock", found, ours, peer, f"{unit}/s", demand, lambda t: t.units / t.wall_s))
    return rows


def tail(name: str, found: Found, ours: str, peer: str, demand: float | None = None) -> Row:
    """p99 of all rounds' latencies. demand: the greatest ratio."""
    late = {side: percentile([s for taken in found[side] for s in taken.latencies], 99) for side in (ours, peer)}
    return Row(name, late[ours] * 1e3, late[peer] * 1e3, "ms", demand)


def percentile(seconds: Sequence[float], of: int) -> float:
    return quantiles(seconds, n=100, method="inclusive")[of - 1]


def spread(found: Found) -> dict[str, Any]:
    """Of every side, for the report: its rounds' work a CPU-second and a second, sorted."""
    return {
        name: {
            "per_cpu_s": sorted(round(t.units / max(t.cpu_s, 1e-9), 3) for t in each),
            "per_s": sorted(round(t.units / t.wall_s, 3) for t in each),
        }
        for name, each in found.items()
    }


def _row(
    name: str, found: Found, ours: str, peer: str, unit: str, demand: float | None, of: Callable[[Taken], float]
) -> Row:
    return Row(name, median(map(of, found[ours])), median(map(of, found[peer])), unit, demand, least=True)


class Stopwatch:
    """CPU of a process and time of the clock since it was made."""

    def __init__(self, cpu_us: Callable[[], float]) -> None:
        self._cpu_us = cpu_us
        self._cpu, self._wall = cpu_us(), time.monotonic()

    def taken(self, units: float, latencies: Sequence[float] = ()) -> Taken:
        return Taken(units, (self._cpu_us() - self._cpu) / 1e6, time.monotonic() - self._wall, tuple(latencies))
