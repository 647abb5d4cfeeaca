"""ONNX Runtime in this process, over a verified model folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rejoinder.core.errors import FailedPrecondition
from rejoinder.core.modelfolder import GRAPH, ModelFolder

Device = Literal["cpu", "cuda", "tensorrt"]
#: The runtime's own words for them; what one cannot compute the next does.
_PROVIDERS: Mapping[str, list[str]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}
assert set(_PROVIDERS) == set(get_args(Device))


@dataclass(frozen=True)
class OnnxParams:
    """threads: of one run on a CPU; physical cores, their sum over processes at most the machine's. device: cuda and
    tensorrt need onnxruntime-gpu in the place of onnxruntime."""

    threads: int = 2
    device: Device = "cpu"


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
    """Loads a verified folder's graph. Takes about a second: not on an event loop. Raises FailedPrecondition."""
    return OnnxGraph(session_of(folder.path / GRAPH, params.threads, params.device), folder.digest)


def session_of(graph: Path, threads: int, device: Device = "cpu", *, warns: bool = True) -> Any:
    """An ONNX Runtime session whose threads sleep when idle. warns: whether the runtime tells of what it finds odd in
    the graph. Raises FailedPrecondition where it would not run on the device: by itself it takes the CPU then, and
    says so in a warning only."""
    import onnxruntime

    wanted = _PROVIDERS[device]
    if wanted[0] not in onnxruntime.get_available_providers():
        raise FailedPrecondition(f"this ONNX Runtime has no {wanted[0]}: install onnxruntime-gpu", device=device)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if not warns:
        options.log_severity_level = 3
    # A spinning pool burns the cores its neighbours need: five times the CPU on a shared machine, for no speed.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(graph), options, providers=wanted)
    if session.get_providers()[0] != wanted[0]:
        raise FailedPrecondition(f"ONNX Runtime did not get {wanted[0]} to work here", device=device)
    return session
