"""A whole run: its processes, their findings as one, whether it is valid, and the report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.openloop.scenario import Scenario
from loadtests.openloop.tally import Tally, Times
from loadtests.processes import Measured
from loadtests.report import Row

#: Processor time of a sending process as a share of the run, above which what it timed was its own queue.
_MAX_BUSY = 0.85
#: Seconds from the order to the first arrival: all processes have read it by then.
_HEAD_START_S = 1.0
_REFUSED = "RESOURCE_EXHAUSTED"


@dataclass
class Found:
    """Of all processes. busy: processor time of the busiest as a share of the run. load: the machine's load average
    (one minute) at the end."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    lag: Times = field(default_factory=Times)
    left_out: int = 0
    busy: float = 0.0
    load: float = 0.0

    def add(self, packed: Mapping[str, Any]) -> None:
        for name, tally in packed["tallies"].items():
            self.tallies.setdefault(name, Tally()).merge(tally)
        self.lag.merge(packed["lag"])
        self.left_out += packed["left_out"]
        self.busy = max(self.busy, packed["busy"])


def run(scenario: Scenario, targets: Mapping[str, str], folder: Path, token_file: Path | None = None) -> Found:
    """Blocks for the scenario's seconds and the last answers. folder: for the processes' logs. Raises RuntimeError."""
    with ExitStack() as stack:
        command = ("-m", "loadtests.openloop.worker")
        senders = [
            stack.enter_context(Measured(f"sender-{number}", folder, command, answers=True))
            for number in range(scenario.processes)
        ]
        said = {
            "scenario": scenario.model_dump(mode="json"),
            "targets": dict(targets),
            "token_file": str(token_file) if token_file else "",
            "begin": time.monotonic() + _HEAD_START_S,
            "parts": len(senders),
        }
        with ThreadPoolExecutor(len(senders)) as threads:
            answers = threads.map(lambda at: senders[at].ask({**said, "part": at}), range(len(senders)))
            found = Found()
            for packed in answers:
                found.add(packed)
    found.load = os.getloadavg()[0]
    return found


def faults(found: Found, scenario: Scenario) -> list[str]:
    """Why the run says nothing of the service; empty where it is valid."""
    out = []
    lag = found.lag.at(99)
    if lag > scenario.max_lag_s:
        out.append(f"the generator fell behind: requests left {lag * 1e3:.0f} ms late at p99")
    if found.left_out:
        out.append(f"{found.left_out} visits never left: {scenario.max_in_flight} were under way in a process")
    if found.busy > _MAX_BUSY:
        out.append(f"a sending process was busy {found.busy:.0%} of the time: give it more processes")
    if not any(tally.offered for tally in found.tallies.values()):
        out.append("nothing was sent")
    return out


def rows(found: Found, scenario: Scenario) -> list[Row]:
    """What the scenario demands, as rows."""
    asked, out = scenario.demands, []
    for name, tally in found.tallies.items():
        if asked.goodput_share is not None:
            per_s = (tally.good / scenario.seconds, tally.offered / scenario.seconds)
            out.append(Row(f"{name}: goodput / offered", *per_s, "1/s", asked.goodput_share, least=True))
        refused = refusals(tally)
        if asked.refused_p99_s is not None and refused.count:
            out.append(
                Row(f"{name}: refusals at p99 / limit", refused.at(99) * 1e3, asked.refused_p99_s * 1e3, "ms", 1.0)
            )
    return out


def refusals(tally: Tally) -> Times:
    """All that were told to come again later."""
    out = Times()
    for reason, times in tally.errors.items():
        if reason.startswith(_REFUSED):
            out.merge(times.packed())
    return out


def as_json(found: Found, scenario: Scenario) -> dict[str, Any]:
    wrong = faults(found, scenario)
    return {
        "scenario": scenario.model_dump(mode="json"),
        "valid": not wrong,
        "faults": wrong,
        "generator": {"lag_ms": found.lag.as_json(), "left_out": found.left_out, "busy": round(found.busy, 3)},
        "load_average": found.load,
        "steps": {name: tally.as_json(scenario.seconds) for name, tally in found.tallies.items()},
    }


def table(report: Mapping[str, Any]) -> str:
    """Markdown of `as_json`."""
    heads = ("step", "offered/s", "goodput/s", "good", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "errors")
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for name, step in report["steps"].items():
        errors = ", ".join(f"{reason} {times['count']}" for reason, times in step["errors"].items()) or "-"
        shown = [f"{step['offered_per_s']:,.1f}", f"{step['goodput_per_s']:,.1f}", f"{step['goodput_share']:.1%}"]
        lines.append(_line([name, *shown, *_points(step["latency_ms"]), errors]))
        for mark, times in step["marks_ms"].items():
            lines.append(_line([f"{name}: {mark}", "", "", "", *_points(times), ""]))
    generator = report["generator"]
    lines += ["", f"generator: {generator['lag_ms']['p99']:.1f} ms late at p99, busy {generator['busy']:.0%}"]
    lines += [f"**INVALID**: {fault}" for fault in report["faults"]]
    return "\n".join(lines)


def _points(times: Mapping[str, float]) -> list[str]:
    return [f"{times[name]:,.1f}" for name in ("p50", "p90", "p99", "p99_9")]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
