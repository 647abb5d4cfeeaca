"""What a service does with three times what it can do: `python -m loadtests.saturation reward-saturated`.

First the peak is looked for: the scenario at rising Poisson rates until goodput has stopped to rise. The rate of the
best is run twice more and the median of the three is the peak: the best of ten runs alone is a lucky one. Then three
times that goodput is offered, whatever rate it was found at: beyond saturation goodput is flat, and where on it the
best lies is chance. Rows: goodput there beside the peak's (at least .9), calls that were admitted beside those of them
that were answered in time (p99: at least .99), the time of a refusal at p99 (at most 5 ms). `--golden` puts the reward
service over a model that sleeps instead of computing: chassis, admission and batcher without the processor time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import deployment, report
from loadtests.openloop import run as openloop
from loadtests.openloop.arrivals import Poisson
from loadtests.openloop.run import Found, refusals
from loadtests.openloop.scenario import Scenario, named
from loadtests.openloop.tally import Tally
from loadtests.processes import Measured
from loadtests.report import Row
from loadtests.work.table import WORKS

TIMES = 3.0
#: From one rate to the next. Two in a row that bring no more than this times the best before end the search.
_STEP, _BETTER = 1.35, 1.02
_MOST_STEPS = 14


class NoPeak(RuntimeError):
    """Nothing was saturated, and so would three times it not be."""


Run = Callable[[float], Found]


def at_rate(scenario: Scenario, rate: float) -> Scenario:
    return scenario.model_copy(update={"arrivals": Poisson(kind="poisson", rate=rate)})


def peak(run: Run, first: float, seconds: float) -> tuple[list[tuple[float, float]], float]:
    """(rate, goodput a second) of each run, rising, the best of them twice more; the peak's goodput. Raises NoPeak."""

    def good_at(rate: float) -> float:
        return sum(tally.good for tally in run(rate).tallies.values()) / seconds

    found: list[tuple[float, float]] = []
    rate, best, without = first, 0.0, 0
    while without < 2 and len(found) < _MOST_STEPS:
        good = good_at(rate)
        found.append((rate, good))
        without = 0 if good > _BETTER * best else without + 1
        best = max(best, good)
        rate *= _STEP
    if without < 2:
        raise NoPeak(f"goodput still rises at {found[-1][0]:.1f}/s: begin the search higher")
    rate, best = max(found, key=itemgetter(1))
    again = [good_at(rate), good_at(rate)]
    return [*found, *((rate, good) for good in again)], median([best, *again])


def rows(best: float, saturated: Tally, seconds: float) -> list[Row]:
    refused = refusals(saturated)
    admitted = saturated.offered - refused.count
    return [
        Row("goodput at 3 × the peak / peak", saturated.good / seconds, best, "1/s", 0.9, least=True),
        Row("answered in time / admitted", saturated.good, admitted, "calls", 0.99, least=True),
        Row("refusals at p99 / 5 ms", refused.at(99) * 1e3, 5.0, "ms", 1.0),
    ]


def golden(folder: Path) -> Measured:
    ready = "REJOINDER_REWARD__SERVER__READY_FILE"
    return Measured("golden", folder, ("-m", "loadtests.golden.scorer"), ready_name=ready)


def arguments() -> Any:
    parser = argparse.ArgumentParser(prog="python -m loadtests.saturation", description=__doc__)
    parser.add_argument("scenario", help="of one step; its rate is not used")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--golden", action="store_true", help="a sleeping model under the reward service")
    parser.add_argument("--first", type=float, default=10.0, help="the first rate of the search, a second")
    parser.add_argument("--seconds", type=float, help="of each run, instead of the scenario's")
    return parser.parse_args()


def main() -> int:
    said = arguments()
    scenario = named(said.scenario)
    seconds = said.seconds or scenario.seconds
    scenario = scenario.model_copy(update={"seconds": seconds, "warm_up_s": min(scenario.warm_up_s, seconds / 3)})
    with tempfile.TemporaryDirectory(prefix="rejoinder-load-") as name, ExitStack() as stack:
        folder = Path(name)
        if said.golden:
            targets = {"reward": f"127.0.0.1:{stack.enter_context(golden(folder)).port}"}
        else:
            targets = stack.enter_context(deployment.started(folder, WORKS[scenario.work].traits["needs"]))
        faults: dict[str, list[str]] = {}

        def run(rate: float) -> Found:
            asked = at_rate(scenario, rate)
            found = openloop.run(asked, targets, folder)
            print(f"{rate:.1f}/s\n{openloop.table(openloop.as_json(found, asked))}\n", file=sys.stderr)
            if wrong := openloop.faults(found, asked):
                faults[f"{rate:.1f}/s"] = wrong
            return found

        tried, best = peak(run, said.first, seconds)
        found = run(TIMES * best)
    (tally,) = found.tallies.values()
    facts = {**report.machine(), "load average": found.load, "peak": best, "deadline_s": scenario.deadline_s}
    out = said.out or Path("reports") / f"load-{'golden-' if said.golden else ''}{Path(said.scenario).stem}.json"
    demanded = rows(best, tally, seconds)
    report.write(out, demanded, facts=facts, tried=tried, faults=faults, saturated=tally.as_json(seconds))
    print(report.table(demanded, facts))
    print(json.dumps({"faults": faults, "report": str(out)}))
    return 0 if all(row.met for row in demanded) and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
