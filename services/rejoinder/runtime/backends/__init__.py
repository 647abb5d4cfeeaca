"""Where a graph is computed: name and tensors in, tensors out. Read the port here, then onnx.py (in this process)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from rejoinder.core.table import Row, Table
from rejoinder.runtime.backends import onnx


class Backend(Protocol):
    """A loaded graph. `digest` is that of the files it was loaded from: what is reported as served (F12)."""

    digest: str

    def infer(self, tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        """All outputs by name. Blocks; may be called from any thread."""

    def close(self) -> None:
        """Lets go of the graph; no call is at work."""


BACKENDS = Table(
    "backend",
    Row("onnx", onnx.open_graph, onnx.OnnxParams, claim="ONNX Runtime in this process, threads that sleep when idle"),
)
