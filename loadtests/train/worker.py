"""One side of the bench in a process of its own: it trains where it is told to and says what that cost.

    python -m loadtests.train.worker ours|unshared|trl BASE THREADS READY

For each line on stdin it answers with one: {"do": "check", …} with its loss and the file of its gradients, {"do":
"train", …} with {"cpu_s", "wall_s", "peak_mib", "grown_mib", "steps"}. "dtype" of the base is float32 where none is
said.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from loadtests.processes import say_ready
from loadtests.train.data import Lengths, examples

if TYPE_CHECKING:
    import torch
    from rejoinder.training.examples import Example


class Side(Protocol):
    """train: what is measured, made ready; it returns how many steps the optimiser took. gradients: (mean loss of the
    pairs, its slope by parameter), the adapter stirred."""

    def train(self, pairs: list[Example], said: dict[str, Any]) -> Callable[[], int]: ...

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


def measured(run: Callable[[], int]) -> dict[str, float]:
    forget_peak()
    before = memory_mib("VmRSS")
    cpu, began = cpu_s(), time.monotonic()
    steps = run()
    used, took = cpu_s() - cpu, time.monotonic() - began
    peak = memory_mib("VmHWM")
    return {"cpu_s": used, "wall_s": took, "peak_mib": peak, "grown_mib": peak - before, "steps": steps}


def answer(side: Side, said: dict[str, Any], vocabulary: int) -> dict[str, Any]:
    pairs = examples([Lengths(*each) for each in said["lengths"]], vocabulary)
    if said["do"] == "check":
        from safetensors.torch import save_file

        loss, slopes = side.gradients(pairs)
        save_file(slopes, said["out"])
        return {"loss": loss}
    return measured(side.train(pairs, said))


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
    kind, base, threads, ready = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    # What a library prints is no answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Before the libraries are loaded, which takes as long as it takes.
    say_ready(ready, 0)
    import torch

    torch.set_num_threads(threads)
    vocabulary = json.loads((base / "config.json").read_text("utf-8"))["vocab_size"]
    made: dict[str, Side] = {}
    for line in sys.stdin:
        said = json.loads(line)
        dtype = said.get("dtype", "float32")
        if dtype not in made:
            made[dtype] = SIDES[kind](base, dtype)
        print(json.dumps(answer(made[dtype], said, vocabulary)), file=answers, flush=True)


if __name__ == "__main__":
    main()
