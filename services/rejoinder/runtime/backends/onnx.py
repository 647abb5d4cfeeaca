"""ONNX Runtime in this process, over a verified model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.modelfolder import GRAPH, ModelFolder


@dataclass(frozen=True)
class OnnxParams:
    """threads: of one run; physical cores, their sum over processes at most the machine's."""

    threads: int = 2


class OnnxGraph:
    """owns: the session and its thread pool."""

    def __init__(self, session: Any, digest: str) -> None:
        self._session = session
        self.digest = digest
        self._outputs = [output.name for output in session.get_outputs()]

    def ready(self) -> bool:
        return True

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        """left_s: not asked, for what has begun here is not broken off."""
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(tensors)), strict=True))

    def close(self) -> None:
        self._session = None


def open_graph(folder: ModelFolder, params: OnnxParams) -> OnnxGraph:
    """Loads a verified folder's graph. Takes about a second: not on an event loop."""
    return OnnxGraph(session_of(folder.path / GRAPH, params.threads), folder.digest)


def session_of(graph: Path, threads: int, *, warns: bool = True) -> Any:
    """An ONNX Runtime session on the CPU whose threads sleep when idle. warns: whether the runtime tells of what it
    finds odd in the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not warns:
        options.log_severity_level = 3
    # A spinning pool burns the cores its neighbours need: five times the CPU on a shared machine, for no speed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
