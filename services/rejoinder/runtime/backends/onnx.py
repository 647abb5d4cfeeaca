"""ONNX Runtime in this process, over a verified model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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

    def infer(self, tensors: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return dict(zip(self._outputs, self._session.run(self._outputs, dict(tensors)), strict=True))

    def close(self) -> None:
        self._session = None


def open_graph(folder: ModelFolder, params: OnnxParams) -> OnnxGraph:
    """Loads a verified folder's graph. Takes about a second: not on an event loop."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = params.threads
    options.inter_op_num_threads = 1
    # A spinning pool burns the cores its neighbours need: five times the CPU on a shared machine, for no speed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(folder.path / GRAPH), options, providers=["CPUExecutionProvider"])
    return OnnxGraph(session, folder.digest)
