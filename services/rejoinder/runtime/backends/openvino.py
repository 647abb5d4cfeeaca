"""OpenVINO in this process, on the CPU, over a verified model folder: the same graph as ONNX Runtime's, computed in
bfloat16 where the folder was compiled for it (`rejoinder compile`) and the processor has such products.

ONNX Runtime's own CPU kernels compute in fp32. The extra is `openvino`; a process that is not asked for it never
imports it.
"""

from __future__ import annotations

import queue
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.core.modelfolder import GRAPH, ModelFolder

#: Our word for a precision, OpenVINO's, and what the processor must be able to do.
_PRECISIONS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16")}


@dataclass(frozen=True)
class OpenVinoParams:
    """threads: of one run; physical cores, their sum over processes at most the machine's."""

    threads: int = 2


class OpenVinoGraph:
    """owns: the compiled graph and its requests, one for each call that is at work at a time."""

    def __init__(self, compiled: Any, digest: str) -> None:
        self._compiled = compiled
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.digest = digest
        # An output that another node only hands on has that node's name, too.
        self._outputs = [tuple(output.get_names()) for output in compiled.outputs]

    def ready(self) -> bool:
        return True

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        """left_s: not asked, for what has begun here is not broken off."""
        try:
            request = self._free.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            # The inputs are read in place; the outputs are the request's own memory, which the next call writes over.
            found = request.infer(dict(tensors), share_inputs=True, share_outputs=False)
            return {name: found[at] for at, names in enumerate(self._outputs) for name in names}
        finally:
            self._free.put(request)

    def close(self) -> None:
        self._free = queue.SimpleQueue()
        self._compiled = None


def open_graph(folder: ModelFolder, params: OpenVinoParams) -> OpenVinoGraph:
    """Loads a verified folder's graph in the precision that it was compiled for. Takes about a second: not on an event
    loop. Raises FailedPrecondition where the extra is not installed or the processor computes no such thing (another
    precision would be other answers under the same digest), BadFile for a graph that OpenVINO does not read."""
    return OpenVinoGraph(compiled_of(folder, params.threads), folder.digest)


def compiled_of(folder: ModelFolder, threads: int) -> Any:
    try:
        import openvino
    except ImportError:
        raise FailedPrecondition(f"{folder.path} runs on OpenVINO: install rejoinder[openvino]") from None
    precision = folder.run.precision
    if precision not in _PRECISIONS:
        raise BadFile(f"{folder.path}: OpenVINO is asked for {precision}", precision=precision)
    hint, needed = _PRECISIONS[precision]
    core = openvino.Core()
    if needed not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise FailedPrecondition(
            f"{folder.path} was compiled for {precision}, which this processor does not compute; serve the folder that"
            " it was made from, or place the process on machines that do",
            precision=precision,
        )
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        # One batch at a time uses all threads: the batcher has put the rows together already.
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        # Pinned threads of several processes would sit on the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    try:
        return core.compile_model(core.read_model(folder.path / GRAPH), "CPU", settings)
    except RuntimeError as error:
        said = str(error).strip().splitlines() or ["no reason given"]
        raise BadFile(f"OpenVINO cannot run {folder.path / GRAPH}: {said[-1][:200]}", file=GRAPH) from None
