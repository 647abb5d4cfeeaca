"""What a pair costs our trainer, beside its own unshared baseline and TRL's DPOTrainer: `make bench WHAT=train`.

CPU-seconds (user and system, all threads) of one side's process for a pair: reference, forward, backward, optimiser.
The same random-weight model, tokens, LoRA and precision for all; every side has a process of its own. Before anything
is timed, loss and gradient of all sides must be equal, or there is no report; so must the number of optimiser steps be
(TRL's batches are accumulated to ours). TRL's batch size and order are searched and said; then sides take turns, and
the median of the rounds counts. The first turn warms up, and says the memory.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import report
from loadtests.peers import LEAST_ROUNDS, in_turn
from loadtests.processes import Measured
from loadtests.report import Row
from loadtests.train.data import Lengths, log_uniform, of_ratio
from loadtests.train.model import Shape, build

SIDES = ("ours", "unshared", "trl")
UNIT = "CPU ms/pair"
MIXED = "lengths log-uniform"
#: Relative, of the loss and of each parameter's gradient, both of the largest entry.
TOLERANCE = 1e-4
#: Our tokens of a micro-batch where lengths differ: about what two of TRL's longest rows have, for memory's sake.
TOKENS = 2048
TRL_SETTINGS = [
    {"batch": 1, "strategy": "random"},
    *({"batch": batch, "strategy": strategy} for batch in (2, 4) for strategy in ("random", "group_by_length")),
]


@dataclass(frozen=True)
class Task:
    """A set of pairs that every side trains on once. said: side → what it is told besides."""

    name: str
    lengths: Sequence[Lengths]
    said: Mapping[str, Mapping[str, Any]]


class Unequal(RuntimeError):
    """A side computes something else: its figures would be of something else."""


def side(kind: str, folder: Path, base: Path, threads: int, name: str = "") -> Measured:
    # A thread that spins while it waits for another is charged for it, and more so beside other work.
    quiet = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    command = ("-m", "loadtests.train.worker", kind, str(base), str(threads))
    return Measured(name or kind, folder, command, quiet, answers=True)


def plain(lengths: Sequence[Lengths]) -> list[list[int]]:
    return [[each.prompt, each.chosen, each.rejected] for each in lengths]


def checked(process: Measured, folder: Path, lengths: Sequence[Lengths], dtype: str = "float32") -> tuple[float, Path]:
    """(loss, the file of the gradients)."""
    out = folder / f"{process.name}-{dtype}.safetensors"
    asked = {"do": "check", "lengths": plain(lengths), "out": str(out), "dtype": dtype}
    return process.ask(asked)["loss"], out


def distance(ours: tuple[float, Path], theirs: tuple[float, Path]) -> tuple[float, float]:
    """(relative difference of the loss, the greatest of a parameter's gradient: largest entry to largest entry)."""
    from safetensors.torch import load_file

    one, other = load_file(ours[1]), load_file(theirs[1])
    if one.keys() != other.keys():
        raise Unequal("other parameters")
    slopes = [float((one[name] - other[name]).abs().max() / other[name].abs().max()) for name in one]
    return abs(ours[0] / theirs[0] - 1), max(slopes)


def cosine(ours: Path, theirs: Path) -> float:
    import torch
    from safetensors.torch import load_file

    one, other = load_file(ours), load_file(theirs)
    flat = [torch.cat([each[name].double().flatten() for name in sorted(one)]) for each in (one, other)]
    return torch.nn.functional.cosine_similarity(*flat, dim=0).item()


def equal(
    processes: Mapping[str, Measured], folder: Path, lengths: Sequence[Lengths], say: Callable[[str], None]
) -> dict[str, dict[str, float]]:
    """Side → how far ours is from it, relative. Raises Unequal."""
    found = {kind: checked(process, folder, lengths) for kind, process in processes.items()}
    apart = {}
    for kind in SIDES[1:]:
        loss, slope = distance(found["ours"], found[kind])
        say(f"ours against {kind}: loss differs by {loss:.1e}, gradients by {slope:.1e} (fp32, relative)")
        if not max(loss, slope) <= TOLERANCE:
            raise Unequal(f"{kind}: loss {loss:.2g}, gradients {slope:.2g}, allowed {TOLERANCE:.0e}")
        apart[kind] = {"loss": loss, "gradient": slope}
    return apart


def searched(process: Measured, lengths: Sequence[Lengths], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """TRL's settings with the CPU-seconds that each cost a pair, the cheapest first."""
    tried = []
    for setting in TRL_SETTINGS:
        asked = {"do": "train", "lengths": plain(lengths), "pairs_per_step": per_step(len(lengths)), **setting}
        cost = process.ask(asked)["cpu_s"] / len(lengths)
        say(f"TRL {setting['strategy']}, {setting['batch']} at once: {1e3 * cost:.0f} {UNIT}")
        tried.append({**setting, "cpu_s": cost})
    return sorted(tried, key=lambda each: each["cpu_s"])


def per_step(pairs: int) -> int:
    """Pairs of an optimiser step where lengths differ, for every side."""
    return min(pairs, 32)


def tasks(pairs: int, few: int, best: Mapping[str, Any]) -> list[Task]:
    def said(per_step: int, trl: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
        step = {"pairs_per_step": per_step}
        ours = {**step, "tokens": TOKENS}
        return {"ours": ours, "unshared": ours, "trl": {**step, **trl}}

    single = said(1, {"batch": 1, "strategy": "random"})
    mixed = said(per_step(pairs), {name: best[name] for name in ("batch", "strategy")})
    return [
        Task(MIXED, log_uniform(pairs), mixed),
        Task("4:1", of_ratio(256, 64, few), single),
        Task("1:1", of_ratio(160, 160, few), single),
    ]


Turns = dict[str, dict[str, list[dict[str, float]]]]


def alternated(
    processes: Mapping[str, Measured], work: Sequence[Task], rounds: int, say: Callable[[str], None]
) -> Turns:
    """Task → side → its turns, the warm-up first. The order of sides turns round by round. Raises Unequal where sides
    take different numbers of optimiser steps."""
    found: Turns = {task.name: {kind: [] for kind in processes} for task in work}
    kinds = list(processes)
    for turn in range(rounds + 1):
        for task in work:
            for kind in in_turn(kinds, turn):
                asked = {"do": "train", "lengths": plain(task.lengths), **task.said[kind]}
                taken = processes[kind].ask(asked)
                for name in ("cpu_s", "wall_s"):
                    taken[name] /= len(task.lengths)
                found[task.name][kind].append(taken)
                say(f"  round {turn} {task.name:20} {kind:9} {1e3 * taken['cpu_s']:7.0f} {UNIT}")
            steps = {kind: each[-1]["steps"] for kind, each in found[task.name].items()}
            if len(set(steps.values())) > 1:
                raise Unequal(f"{task.name}: the optimiser took {steps} steps")
    return found


#: Row → (task, the other side, what of a turn, unit of a thousandth of it, how many times less ours must be).
COSTS = {
    "prompt = answers / unshared": ("1:1", "unshared", "cpu_s", UNIT, 1.25),
    "prompt : answers 4:1 / unshared": ("4:1", "unshared", "cpu_s", UNIT, 1.5),
    "prompt : answers 4:1 / TRL, one pair a step": ("4:1", "trl", "cpu_s", UNIT, 1.5),
    "prompt = answers / TRL, one pair a step": ("1:1", "trl", "cpu_s", UNIT, None),
    "lengths log-uniform / TRL at its best": (MIXED, "trl", "cpu_s", UNIT, 2.0),
    "lengths log-uniform / unshared": (MIXED, "unshared", "cpu_s", UNIT, None),
    "wall, lengths log-uniform / TRL at its best": (MIXED, "trl", "wall_s", "ms/pair", None),
    "wall, 4:1 / TRL, one pair a step": ("4:1", "trl", "wall_s", "ms/pair", None),
}


def rows_of(found: Turns) -> list[Row]:
    """Ratios are peer / ours, so that more is better, as the demands are said."""
    rows = []
    for name, (task, kind, what, unit, demand) in COSTS.items():
        ours, theirs = (1e3 * median(turn[what] for turn in found[task][side][1:]) for side in ("ours", kind))
        rows.append(Row(name, ours, theirs, unit, demand, inverse=True))
    memory = {kind: found[MIXED][kind][0] for kind in ("ours", "trl")}
    for name, what in (("peak RSS", "peak_mib"), ("peak RSS less what it had before training", "grown_mib")):
        rows.append(Row(f"{name} / TRL, lengths log-uniform", memory["ours"][what], memory["trl"][what], "MiB", 1.0))
    return rows


def spreads(found: Turns) -> dict[str, tuple[float, float]]:
    """Row → the least and the greatest ratio of a single round."""
    ends = {}
    for name, (task, kind, what, _, _) in COSTS.items():
        ours, theirs = (found[task][side][1:] for side in ("ours", kind))
        ratios = [other[what] / one[what] for one, other in zip(ours, theirs, strict=True)]
        ends[name] = (round(min(ratios), 3), round(max(ratios), 3))
    return ends


def bf16(process: Measured, folder: Path, task: Task, rounds: int, say: Callable[[str], None]) -> list[Row]:
    """How far our gradient turns under a bf16 base, and what that base costs beside the fp32 one, in turns."""
    check = task.lengths[:4]
    near = cosine(*(checked(process, folder, check, dtype)[1] for dtype in ("bfloat16", "float32")))
    say(f"bf16 base: cosine of the gradient to fp32's {near:.5f}")
    found: dict[str, list[float]] = {"bfloat16": [], "float32": []}
    for _ in range(rounds + 1):
        for dtype, costs in found.items():
            asked = {"do": "train", "lengths": plain(task.lengths), "dtype": dtype, **task.said["ours"]}
            costs.append(process.ask(asked)["cpu_s"] / len(task.lengths))
    ours, theirs = (1e3 * median(costs[1:]) for costs in found.values())
    return [
        Row("gradient cosine, our bf16 base / fp32", near, 1.0, "", 0.99, least=True),
        Row("4:1, our bf16 base / fp32 base", ours, theirs, UNIT, inverse=True),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtests.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the report, JSON")
    parser.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="counted rounds; fewer are for trying it out")
    parser.add_argument("--pairs", type=int, default=16, help="pairs of differing lengths")
    parser.add_argument("--few", type=int, default=8, help="pairs at 4:1 and 1:1, one a step")
    parser.add_argument("--layers", type=int, default=Shape.layers)
    parser.add_argument("--hidden", type=int, default=Shape.hidden)
    parser.add_argument("--vocabulary", type=int, default=Shape.vocabulary)
    parser.add_argument("--threads", type=int, default=1, help="torch's, of every side")
    arguments = parser.parse_args()
    threads, rounds = arguments.threads, arguments.rounds

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="rejoinder-bench-") as name, ExitStack() as processes:
        folder = Path(name)
        base = folder / "base"
        shape = Shape(arguments.layers, arguments.hidden, arguments.vocabulary)
        parameters = build(base, shape)
        checks = {kind: side(kind, folder, base, threads, f"check-{kind}") for kind in SIDES}
        for process in checks.values():
            processes.enter_context(process)
        apart = equal(checks, folder, log_uniform(4, seed=1), say)
        tried = searched(checks["trl"], log_uniform(arguments.pairs), say)
        say(f"TRL's best: {tried[0]}")
        work = tasks(arguments.pairs, arguments.few, tried[0])
        rows = bf16(checks["ours"], folder, work[1], rounds, say)
        processes.close()
        # New ones: what a process has taken it seldom gives back, and memory is a question of the first turn.
        made = {kind: processes.enter_context(side(kind, folder, base, threads)) for kind in SIDES}
        found = alternated(made, work, rounds, say)
    rows = [*rows_of(found), *rows]
    facts = {
        **report.machine(),
        **report.versions("torch", "transformers", "peft", "trl"),
        **{f"model {name}": value for name, value in asdict(shape).items()},
        "parameters": parameters,
        "dtype": "float32",
        "threads": threads,
        "rounds": rounds,
        "pairs": arguments.pairs,
    }
    spread = spreads(found)
    report.write(arguments.out, rows, facts=facts, equal=apart, trl=tried, spread=spread, samples=found)
    print(report.table(rows, facts), "\nratios of single rounds:")
    print("\n".join(f"- {name}: {least:.2f} to {most:.2f}" for name, (least, most) in spread.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
