"""What the gateway adds to a bare server, beside LiteLLM's proxy: `make bench WHAT=gateway`.

Open loop: requests leave when a Poisson process says so, whatever the servers do. Sides take turns at each rate, round
after round; every figure is the median of its rounds. *Added* is a side's latency less the bare server's at the same
point and rate, in the same round. The gateway logs: an answer is on disk before its caller has its end, and the
feedback process takes it into its log meanwhile, on the same cores. LiteLLM logs nothing. The hop is the bound: what
Starlette, uvicorn and httpx take for passing a request on. Where the load tester itself fell behind, the run is named
invalid, and the report with it (status 3).

At last the gateway's peak is looked for, alone on a core, and three times that offered: goodput there beside the
peak's, and whether refusals are OpenAI's and say when to come back.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import report, saturation
from loadtests.gateway import sides
from loadtests.gateway.sides import Side
from loadtests.openloop import run as openloop
from loadtests.openloop.run import Found
from loadtests.openloop.scenario import Scenario
from loadtests.openloop.tally import Tally, Times
from loadtests.peers import closed_loop, in_turn
from loadtests.processes import apart
from loadtests.report import Row
from loadtests.work.chat import BUSY, Complete, Params
from loadtests.work.reach import Reach

#: A server holds a rate that so much of is answered rightly within the deadline.
HOLDS = 0.99
#: Callers, and requests, of the search for LiteLLM's best setting.
CALLERS, _WARM, _ASKED = 16, 50, 300
#: How a refusal of one that is busy is tallied whose shape is right.
REFUSALS = tuple(f"HTTP {status}" for status in BUSY)
#: Share of a core below which a server is idle, seconds between two looks, and seconds that it may take to be so.
_IDLE, _LOOK_S, _SETTLE_S = 0.1, 0.5, 90.0
#: Between the seeds of two rounds.
_SEEDS = 1000


@dataclass(frozen=True)
class Turn:
    """One side at one rate. Seconds, over all that was offered: what was not answered counts as the deadline at least.

    good: share. cpu_ms: of a request, for each of the side's processes by name. faults: why it says nothing.
    """

    p50_s: float
    p99_s: float
    good: float
    cpu_ms: Mapping[str, float]
    faults: Sequence[str] = ()


@dataclass
class Bench:
    """owns: what was found. Rates are requests a second."""

    folder: Path
    seconds: float
    deadline_s: float
    stream: bool = False
    turns: dict[tuple[str, float], list[Turn]] = field(default_factory=dict)
    closed: dict[str, list[Capacity]] = field(default_factory=dict)

    def scenario(self, rate: float, seed: int = 1) -> Scenario:
        return Scenario(
            work="chat",
            options={"stream": self.stream},
            arrivals={"kind": "poisson", "rate": rate},  # type: ignore[arg-type]
            deadline_s=self.deadline_s,
            seconds=self.seconds,
            warm_up_s=min(3.0, self.seconds / 3),
            seed=seed,
        )

    def run(self, side: Side, rate: float, seed: int = 1) -> tuple[Found, Scenario, dict[str, float]]:
        """What was found, and CPU-milliseconds of a request for each process."""
        scenario = self.scenario(rate, seed)
        before = {each.name: each.cpu_us() for each in side.processes}
        found = openloop.run(scenario, {"gateway": side.target}, self.folder)
        used = {each.name: each.cpu_us() - before[each.name] for each in side.processes}
        settle(side)
        # Of all that were sent, those of the warm-up too.
        sent = rate * (scenario.seconds + scenario.warm_up_s)
        return found, scenario, {name: each / 1e3 / sent for name, each in used.items()}

    def take(self, side: Side, rate: float, seed: int) -> Turn:
        found, scenario, cpu = self.run(side, rate, seed)
        tally = found.tallies.get("complete", Tally())
        turn = Turn(
            at(tally, 50, self.deadline_s),
            at(tally, 99, self.deadline_s),
            tally.good / tally.offered if tally.offered else 0.0,
            cpu,
            openloop.faults(found, scenario),
        )
        said = f"  {rate:6.0f}/s {side.name:8} p50 {turn.p50_s * 1e3:7.1f} p99 {turn.p99_s * 1e3:7.1f} ms"
        costs = ", ".join(f"{name} {ms:.2f}" for name, ms in turn.cpu_ms.items())
        print(f"{said} good {turn.good:7.2%} CPU-ms {costs} {' '.join(turn.faults)}", file=sys.stderr)
        return turn

    def rounds(self, taking: Sequence[Side], rates: Sequence[float], rounds: int) -> None:
        """Sides take turns; who begins changes from round to round."""
        for number in range(rounds):
            order = in_turn(taking, number)
            for side in order:
                self.closed.setdefault(side.name, []).append(capacity(side))
            for rate in rates:
                for side in order:
                    self.turns.setdefault((side.name, rate), []).append(self.take(side, rate, number * _SEEDS + 1))

    def added(self, side: str, rate: float, point: str) -> float:
        """Milliseconds over the bare server's, of the median round."""
        pairs = zip(self.turns[side, rate], self.turns["bare", rate], strict=True)
        return median((getattr(own, point) - getattr(bare, point)) * 1e3 for own, bare in pairs)

    def holds(self, side: str, rate: float) -> bool:
        return median(turn.good for turn in self.turns[side, rate]) >= HOLDS

    def faults(self) -> dict[str, list[str]]:
        """What fell behind and when, by side and rate."""
        named = {(side, rate): [f for turn in turns for f in turn.faults] for (side, rate), turns in self.turns.items()}
        return {f"{side} at {rate:g}/s": found for (side, rate), found in named.items() if found}


def settle(side: Side) -> None:
    """Returns when the side is idle: one that was overloaded works on for callers who are gone, on all cores."""
    end = time.monotonic() + _SETTLE_S
    while time.monotonic() < end:
        before, began = sum(each.cpu_us() for each in side.processes), time.monotonic()
        time.sleep(_LOOK_S)
        if sum(each.cpu_us() for each in side.processes) - before < _IDLE * 1e6 * (time.monotonic() - began):
            return
    print(f"{side.name} is still at work after {_SETTLE_S:g} s", file=sys.stderr)


def at(tally: Tally, percent: float, deadline_s: float) -> float:
    """Seconds that so many percent of what was offered do not pass; the deadline where fewer were answered."""
    if not tally.offered:
        return deadline_s
    share = 100.0 * tally.answers.count / tally.offered
    return tally.answers.at(100.0 * percent / share) if percent <= share else deadline_s


@dataclass(frozen=True)
class Capacity:
    """rate: right answers a second with CALLERS at once. cpu_ms: of one of them, all the side's processes together."""

    rate: float
    cpu_ms: float


def capacity(side: Side) -> Capacity:
    """A closed loop, so that it says what a request costs whoever else uses the machine; errors are printed."""
    return asyncio.run(_capacity(side))


async def _capacity(side: Side) -> Capacity:
    work = Complete(Params(), Reach({"gateway": side.target}), 1)
    try:
        await closed_loop(work, range(_WARM), CALLERS)
        before = sum(each.cpu_us() for each in side.processes)
        found = await closed_loop(work, range(_WARM, _WARM + _ASKED), CALLERS)
        used = sum(each.cpu_us() for each in side.processes) - before
    finally:
        await work.close()
    tally = found.tallies["complete"]
    for reason, times in tally.errors.items():
        print(f"{side.name}: {times.count} of {_ASKED} {reason}", file=sys.stderr)
    made = Capacity(tally.good / found.wall_s, used / 1e3 / max(1, tally.good))
    print(f"  {CALLERS} callers {side.name:8} {made.rate:7.1f}/s CPU-ms {made.cpu_ms:.2f}", file=sys.stderr)
    return made


def best(folder: Path, upstream: Side) -> tuple[Sequence[str], dict[str, float]]:
    """LiteLLM's setting that answers the most a second, of three; the search is printed."""
    tried = []
    for options in sides.SETTINGS:
        with ExitStack() as own:
            tried.append(capacity(sides.proxy(own, folder, upstream, options)).rate)
        print(f"litellm {' '.join(options)}: {tried[-1]:.1f}/s with {CALLERS} callers", file=sys.stderr)
    found = sides.SETTINGS[tried.index(max(tried))]
    print(f"litellm: its best is {' '.join(found)}", file=sys.stderr)
    return found, {" ".join(options): rate for options, rate in zip(sides.SETTINGS, tried, strict=True)}


def rows_of(bench: Bench, rates: Sequence[float]) -> list[Row]:
    rows, last = [], max(rates)
    for rate in rates:
        for point in ("p50_s", "p99_s"):
            name = f"added {point[:-2]} at {rate:g}/s"
            ours, hop = bench.added("ours", rate, point), bench.added("hop", rate, point)
            rows.append(Row(f"{name} / the bare hop's", ours, hop, "ms"))
            if ("litellm", rate) in bench.turns:
                demand = 0.2 if point == "p99_s" and rate == last else None
                rows.append(Row(f"{name} / LiteLLM's", ours, bench.added("litellm", rate, point), "ms", demand))
    for other, whose in (("hop", "the bare hop's"), ("litellm", "LiteLLM's")):
        if other in bench.closed:
            for name, what, unit in (
                ("cpu_ms", "CPU of a request, log included", "CPU-ms"),
                ("rate", "answers", "1/s"),
            ):
                ours, theirs = (median(getattr(each, name) for each in bench.closed[s]) for s in ("ours", other))
                rows.append(Row(f"{what}, {CALLERS} callers / {whose}", ours, theirs, unit))
    both = [
        rate for rate in rates if all(bench.holds(s, rate) for s in ("ours", "litellm") if (s, rate) in bench.turns)
    ]
    if both and ("litellm", max(both)) in bench.turns and max(both) != last:
        ours, theirs = (bench.added(side, max(both), "p99_s") for side in ("ours", "litellm"))
        rows.append(
            Row(f"added p99 / LiteLLM's at {max(both):g}/s, the greatest that both hold", ours, theirs, "ms", 0.2)
        )
    return rows


def overload(bench: Bench, side: Side, first: float) -> tuple[list[Row], dict[str, Any]]:
    """Three times what it holds, its processes on one core and the load tester on the others: the rows, and what was
    tried. Found no peak, there are no rows, and the fault says so."""
    faults: dict[str, list[str]] = {}
    more: dict[str, Any] = {"faults": faults}

    def run(rate: float) -> Found:
        found, scenario, cpu = bench.run(side, rate)
        print(f"{rate:.0f}/s\n{openloop.table(openloop.as_json(found, scenario))}\n", file=sys.stderr)
        print(", ".join(f"{name} {ms:.2f}" for name, ms in cpu.items()), "CPU-ms a request", file=sys.stderr)
        if wrong := openloop.faults(found, scenario):
            faults[f"overload, {rate:.0f}/s"] = wrong
        return found

    with apart(side.processes) as alone:
        more["servers on one core"] = alone
        try:
            more["tried"], peak = saturation.peak(run, first, bench.seconds)
        except saturation.NoPeak as error:
            faults["overload"] = [str(error)]
            return [], more
        tally = run(saturation.TIMES * peak).tallies["complete"]
    more["overloaded"] = tally.as_json(bench.seconds)
    return overload_rows(tally, peak, bench.seconds, bench.deadline_s), more


def overload_rows(tally: Tally, peak: float, seconds: float, deadline_s: float) -> list[Row]:
    """peak: goodput, a second."""
    at, told, understood = f"at 3 × {peak:.0f}/s", Times(), 0
    for reason, times in tally.errors.items():
        if reason.startswith("HTTP "):
            told.merge(times.packed())
            understood += times.count if reason in REFUSALS else 0
    admitted = tally.offered - told.count
    rows = [
        Row(f"goodput {at} / its peak", tally.good / seconds, peak, "1/s", 0.9, least=True),
        Row(f"answered in time {at} / admitted", tally.good, admitted, "calls"),
    ]
    if told.count:
        rows += [
            Row(
                f"refused {at} as OpenAI does, with Retry-After / refused",
                understood,
                told.count,
                "calls",
                1,
                least=True,
            ),
            Row(f"refusals {at}, p99 / the deadline", told.at(99) * 1e3, deadline_s * 1e3, "ms"),
        ]
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.gateway", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the report, JSON")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side at each rate")
    parser.add_argument("--seconds", type=float, default=15.0, help="of a turn, beside its warm-up")
    parser.add_argument(
        "--rates", default="10,50,500", help="requests a second; 5 times less p99 is demanded at the last"
    )
    parser.add_argument("--answer-s", type=float, default=0.02, help="what the bare server takes for an answer")
    parser.add_argument("--deadline-s", type=float, default=1.0, help="of a request")
    parser.add_argument("--stream", action="store_true", help="answers in pieces")
    parser.add_argument("--no-peers", action="store_true", help="leave LiteLLM out")
    parser.add_argument("--overload-from", type=float, default=150.0, help="first rate of the search; 0 leaves it out")
    said = parser.parse_args()
    rates = sorted(float(rate) for rate in said.rates.split(","))
    more: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="rejoinder-bench-") as name, ExitStack() as stack:
        bench = Bench(Path(name), said.seconds, said.deadline_s, said.stream)
        upstream = sides.bare(stack, bench.folder, said.answer_s)
        ours = sides.ours(stack, bench.folder, upstream)
        taking = [upstream, ours, sides.hop(stack, bench.folder, upstream)]
        if not said.no_peers:
            options, more["litellm"] = best(bench.folder, upstream)
            more["best"] = " ".join(options)
            taking.append(sides.proxy(stack, bench.folder, upstream, options))
        bench.rounds(taking, rates, said.rounds)
        rows = rows_of(bench, rates)
        if said.overload_from:
            demanded, more["overload"] = overload(bench, ours, said.overload_from)
            rows += demanded
    faults = {**bench.faults(), **more.get("overload", {}).get("faults", {})}
    facts = {
        **report.machine(),
        **report.versions("starlette", "uvicorn", "h11", "httpx"),
        **({} if said.no_peers else {"litellm": sides.litellm_version()}),
        "rounds": said.rounds,
        "seconds": said.seconds,
        "answer_s": said.answer_s,
        "stream": said.stream,
        "valid": not faults,
    }
    turns = {
        f"{side} at {rate:g}/s": [
            {"p50_ms": t.p50_s * 1e3, "p99_ms": t.p99_s * 1e3, "good": t.good, "cpu_ms": dict(t.cpu_ms)} for t in found
        ]
        for (side, rate), found in bench.turns.items()
    }
    closed = {side: [vars(each) for each in found] for side, found in bench.closed.items()}
    report.write(said.out, rows, facts=facts, turns=turns, closed=closed, faults=faults, **more)
    print(report.table(rows, facts))
    for where, why in faults.items():
        print(f"**INVALID** {where}: {'; '.join(why)}")
    return 3 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
