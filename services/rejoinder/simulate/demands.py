"""What a proof must show, held against the figures it left: `python -m rejoinder.simulate.demands FILE…`.

FILES are what `rejoinder demo --json` wrote, the runs and their controls in any order. Prints a line a demand and ends
with 1 where one is not met; a run or a control that is missing is not met either.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rejoinder.simulate.report.headline import as_demanded, trained, verdict_of

Result = Mapping[str, Any]

SEEDS = 3
ROUNDS = 3
RISE, RISE_LOW = 0.20, 0.15
FACTS_FALL = 0.03
#: What must not learn: this much at most, and this share of what the seed's own run gained.
EMPTY_CONTROLS = ("permuted-followups", "swapped")
EMPTY_GAIN, EMPTY_SHARE = 0.04, 0.2
#: Shown beside them; nothing is demanded but that they were run.
SHOWN_CONTROLS = ("no-training", "sft")
#: Shown where somebody ran them: regeneration without the wish, and follow-ups handed on among askers of one kind.
EXTRA_CONTROLS = ("unwished", "permuted-within-kind")
ACKNOWLEDGED = 5_000
SECONDS, PEAK_MB = 480.0, 6_000.0


@dataclass(frozen=True)
class Demand:
    """seed: of the run it is made of, None for all together. found: as it is printed; satisfactions in points."""

    seed: int | None
    name: str
    demanded: str
    found: str
    met: bool


def demands(results: Sequence[Result]) -> list[Demand]:
    """Every demand on the runs of all seeds and their controls, in the order of the seeds."""
    by_seed: dict[int, dict[str, Result]] = {}
    for result in results:
        by_seed.setdefault(result["seed"], {})[result["control"]] = result
    found = [Demand(None, "seeds", f"{SEEDS}", f"{len(by_seed)}", len(by_seed) >= SEEDS)]
    for seed in sorted(by_seed):
        runs = by_seed[seed]
        if "" not in runs:
            found.append(Demand(seed, "run", "done", "missing", False))
            continue
        found += _of_run(seed, runs[""])
        found += _of_controls(seed, runs)
    return found


def _of_run(seed: int, run: Result) -> Iterator[Demand]:
    def demand(name: str, demanded: str, found: str, met: bool) -> Demand:
        return Demand(seed, name, demanded, found, met)

    rise = run["rise"]
    wanted = f"≥ {_points(RISE)}, low ≥ {_points(RISE_LOW)}"
    yield demand("rise", wanted, _span(rise), bool(rise) and rise["value"] >= RISE and rise["low"] >= RISE_LOW)
    rounds = trained(run)
    # A round that the gate or the verdict refused is legal: its gain is measured all the same.
    yield demand("rounds", f"{ROUNDS}", f"{len(rounds)}", len(rounds) == ROUNDS)
    untrained = next(row["facts"] for row in run["rounds"] if row["round"] == 0)
    for row in rounds:
        gain = row["paired_gain"]
        name = f"round {row['round']}"
        yield demand(f"{name} rises", "low > 0", _span(gain), bool(gain) and gain["low"] > 0)
        if row["promoted"]:
            fall = untrained - row["facts"]
            yield demand(f"{name} facts", f"fall ≤ {_points(FACTS_FALL)}", _points(fall), fall <= FACTS_FALL)
    pushes = {push["kind"]: push for push in run["pushes"]}
    for kind in ("style", "silent", "harmless"):
        push = pushes.get(kind)
        if push is None:
            yield demand(f"push {kind}", "as demanded", "missing", False)
            continue
        found = f"{verdict_of(push)}, {push.get('action')}"
        yield demand(f"push {kind}", "as demanded", found, as_demanded(push) is True)
        held = push.get("holdout_exposed")
        found = "not counted" if held is None else f"{held}"
        yield demand(f"push {kind}: held-out people exposed", "0", found, held == 0)
    parity = run["parity"]
    events = parity["acknowledged"]
    yield demand("acknowledged", f"≥ {ACKNOWLEDGED:,}", f"{events:,}", events >= ACKNOWLEDGED)
    for name in ("lost", "duplicated"):
        yield demand(name, "0", f"{parity[name]}", parity[name] == 0)
    yield demand("seconds", f"≤ {SECONDS:.0f}", f"{run['seconds']:.0f}", run["seconds"] <= SECONDS)
    yield demand("memory, MB", f"≤ {PEAK_MB:,.0f}", f"{run['peak_mb']:,.0f}", run["peak_mb"] <= PEAK_MB)


def _of_controls(seed: int, runs: Mapping[str, Result]) -> Iterator[Demand]:
    real = _gained(runs[""])
    for control in EMPTY_CONTROLS:
        if control not in runs:
            yield Demand(seed, control, "run", "missing", False)
            continue
        most = min(EMPTY_GAIN, EMPTY_SHARE * real)
        gained = _gained(runs[control])
        yield Demand(seed, control, f"≤ {_points(most)}", _span(runs[control]["rise"]), gained <= most)
    for control in SHOWN_CONTROLS:
        shown = control in runs
        yield Demand(seed, control, "shown", _span(runs[control]["rise"]) if shown else "missing", shown)
    for control in EXTRA_CONTROLS:
        if control in runs:
            yield Demand(seed, control, "shown", _span(runs[control]["rise"]), True)


def _gained(run: Result) -> float:
    """0 where nothing was promoted: what is served is what was."""
    return run["rise"]["value"] if run["rise"] else 0.0


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _span(figure: Mapping[str, float] | None) -> str:
    return f"{_points(figure['value'])} [{_points(figure['low'])}, {_points(figure['high'])}]" if figure else "none"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m rejoinder.simulate.demands", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    files = parser.parse_args(arguments).files
    found = demands([json.loads(file.read_text(encoding="utf-8")) for file in files])
    for demand in found:
        seed = "all" if demand.seed is None else f"seed {demand.seed}"
        mark = "met" if demand.met else "NOT MET"
        print(f"{seed:8} {demand.name:38} {demand.demanded:24} {demand.found:28} {mark}")
    missed = sum(not demand.met for demand in found)
    print(f"{len(found) - missed} of {len(found)} demands met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
