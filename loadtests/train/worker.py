"""One side of the bench in a process of its own: it trains where it is told to and says what that cost.

    python -m loadtests.train.worker ours|unshared|trl BASE DTYPE THREADS READY

For each line on stdin it answers with one: {"do": "check", …} with its loss and the file of its gradients, {"do":
"train", …} with {"cpu_s", "wall_s", "peak_mib", "grown_mib"}.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from rejoinder.training.examples import Example

from loadtests.processes import say_ready
from loadtests.train.data import Lengths, examples


class Side(Protocol):
    """train: what is measured, made ready. gradients: (mean loss of the pairs, its slope by parameter), the adapter
    stirred."""

    def train(self, pairs: list[Example], said: dict[str, Any]) -> Callable[[], object]: ...

    def gradients(self, pairs: list[Example]) -> tuple[float, dict[str, torch.Tensor]]: ...


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory_mib(field: str) -> float:
    """VmRSS, or VmHWM: its greatest value since `forget_peak`."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", "utf-8")


def measured(run: Callable[[], object]) -> dict[str, float]:
    forget_peak()
    before = memory_mib("VmRSS")
    cpu, began = cpu_s(), time.monotonic()
    run()
    used, took = cpu_s() - cpu, time.monotonic() - began
    peak = memory_mib("VmHWM")
    return {"cpu_s": used, "wall_s": took, "peak_mib": peak, "grown_mib": peak - before}


def answer(side: Side, said: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    pairs = examples([Lengths(*each) for each in said["lengths"]], vocabulary)
    if said["do"] == "check":
        from safetensors.torch import save_file

        loss, slopes = side.gradients(pairs)
        save_file(slopes, said["out"])
        return {"loss": loss}
    run = side.train(pairs, said)
    return measured(run)


def ours(base: Path, dtype: str) -> Side:
    from loadtests.train.our_side import Ours

    return Ours(base, dtype)


def unshared(base: Path, dtype: str) -> Side:
    from loadtests.train.our_side import Ours
    from loadtests.train.unshared import install

    install()
    return Ours(base, dtype)


def trl(base: Path, dtype: str) -> Side:
    from loadtests.train.trl_side import Trl

    return Trl(base, dtype)


SIDES: dict[str, Callable[[Path, str], Side]] = {"ours": ours, "unshared": unshared, "trl": trl}


def main() -> None:
    kind, base, dtype, threads, ready = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    vocabulary = json.loads((base / "config.json").read_text("utf-8"))["vocab_size"]
    torch.set_num_threads(threads)
    side = SIDES[kind](base, dtype)
    say_ready(ready, 0)
    for line in sys.stdin:
        print(json.dumps(answer(side, json.loads(line), vocabulary)), file=answers, flush=True)


if __name__ == "__main__":
    main()
