"""Where a graph is computed: name and tensors in, tensors out. Read the port here, then onnx.py (in this process) and
triton.py (a server's)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from rejoinder.core.table import Row, Table
from rejoinder.runtime.backends import onnx, triton


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
    Row("triton", triton.open_graph, triton.TritonParams, claim="a Triton server, the version pinned by its digest"),
)
