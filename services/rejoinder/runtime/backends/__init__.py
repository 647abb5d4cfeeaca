"""Where a graph is computed: name and tensors in, tensors out. Read the port here, then onnx.py and openvino.py (in
this process) and triton.py (a server's)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from rejoinder.core.errors import BadSettings
from rejoinder.core.modelfolder import ModelFolder
from rejoinder.core.table import Row, Table
from rejoinder.runtime.backends import onnx, openvino, triton


class Backend(Protocol):
    """A loaded graph. `digest` is that of the files it was loaded from: what is reported as served (F12)."""

    digest: str

    def ready(self) -> bool:
        """Whether it computes yet; asked again and again until it does. Blocks for some seconds at most. Raises what
        says that it never will, Loading where it did not come in time."""

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        """All outputs by name. Blocks; may be called from any thread. left_s: seconds until nobody waits for it."""

    def close(self) -> None:
        """Lets go of the graph; no call is at work."""


BACKENDS = Table(
    "backend",
    Row("onnx", onnx.open_graph, onnx.OnnxParams, claim="ONNX Runtime in this process, threads that sleep when idle"),
    Row(
        "openvino",
        openvino.open_graph,
        openvino.OpenVinoParams,
        claim="OpenVINO in this process, in bfloat16 where the folder was compiled for it",
    ),
    Row("triton", triton.open_graph, triton.TritonParams, claim="a Triton server, the version pinned by its digest"),
)

#: What a setting says for the backend that the folder was compiled for.
AUTO = "auto"


def backend_of(folder: ModelFolder, wanted: str = AUTO) -> str:
    """The row that computes a folder. Raises BadSettings for one that would compute it in another precision than its
    digest stands for, or that nobody has measured on it, BadFile."""
    run = folder.run
    if wanted in (AUTO, run.backend):
        return run.backend
    if wanted == "openvino":
        raise BadSettings(
            f"{folder.path} was not compiled for {wanted}, which reads some graphs otherwise: `rejoinder compile` makes"
            " a folder for it and compares",
            backend=wanted,
        )
    if run.backend == "openvino":
        raise BadSettings(
            f"{folder.path} was compiled for {run.backend} in {run.precision}, and {wanted} would compute its graph in"
            " fp32; name the folder that it was made from",
            backend=wanted,
        )
    return wanted


#: Cores that a model in this process takes where nobody says how many.
_USUAL = 2
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def cores() -> int:
    """What this process may use: the processors that it may run on, at most the container's limit, at least one."""
    there = len(os.sched_getaffinity(0))
    try:
        quota, period = _QUOTA.read_text("utf-8").split()
        return min(there, max(1, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        # No such file, or "max": no limit.
        return there


def placed(folder: ModelFolder, threads: int = 0, lanes: int = 0) -> tuple[int, int]:
    """Threads of one run, and runs at once, of a model in this process. threads, lanes: as settings say, 0 = left open.

    What is left open is what was measured for the folder, else two cores in all: two runs at once of a thread each
    answer 1.45 times what one run on two threads does, while a row alone takes longer. No more than there are cores.
    """
    usual = min(_USUAL, cores())
    if threads and lanes:
        return threads, lanes
    if threads:
        # As it was before lanes were left open: who asks for one thread wants one core.
        return threads, 1
    if lanes:
        return max(1, usual // lanes), lanes
    threads, lanes = folder.quickest
    if not threads:
        return 1, usual
    threads = min(threads, cores())
    return threads, min(lanes, max(1, cores() // threads))
