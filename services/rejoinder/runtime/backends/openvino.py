"""OpenVINO in this process, on the CPU, over a verified model folder: the same graph as ONNX Runtime's, computed in
bfloat16 where the folder was compiled for it (`rejoinder compile`) and the processor has such products.

ONNX Runtime's own CPU kernels compute in fp32. The extra is `openvino`; a process that is not asked for it never
imports it.
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rejoinder.core.errors import BadFile, FailedPrecondition, InvalidArgument
from rejoinder.core.modelfolder import GRAPH, ModelFolder

#: Our word for a precision, OpenVINO's, and what the processor must be able to do.
_PRECISIONS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16")}


@dataclass(frozen=True)
class OpenVinoParams:
    """threads: of one run. lanes: runs at once. Their product over all processes is at most the machine's cores."""

    threads: int = 2
    lanes: int = 1


class OpenVinoGraph:
    """owns: the compiled graph and its requests, one for each call that is at work at a time."""

    def __init__(self, compiled: Any, digest: str) -> None:
        self._compiled = compiled
        self._free: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.digest = digest
        # An output that another node only hands on has that node's name, too.
        self._outputs = [tuple(output.get_names()) for output in compiled.outputs]
        self._inputs = [frozenset(each.get_names()) for each in compiled.inputs]

    def ready(self) -> bool:
        return True

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        """left_s: not asked, for what has begun here is not broken off. Raises InvalidArgument for an input that is
        missing: a request would take that of the call before."""
        if not all(names & tensors.keys() for names in self._inputs):
            raise InvalidArgument("an input of the graph is missing", field="tensors")
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
    return OpenVinoGraph(compiled_of(folder, params), folder.digest)


def library() -> Any:
    """The package, without what it sends: its import alone would tell a web analytics service of it, from a process
    forked off this one, and leave a lasting id in the home folder. Raises ImportError."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def compiled_of(folder: ModelFolder, params: OpenVinoParams) -> Any:
    precision = folder.run.precision
    if precision not in _PRECISIONS:
        raise BadFile(f"{folder.path}: OpenVINO is asked for {precision}", precision=precision)
    hint, needed = _PRECISIONS[precision]
    try:
        core = library().Core()
    except ImportError:
        raise FailedPrecondition(f"{folder.path} runs on OpenVINO: install rejoinder[openvino]") from None
    if needed not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise FailedPrecondition(
            f"{folder.path} was compiled for {precision}, which this processor does not compute; serve the folder that"
            " it was made from, or place the process on machines that do",
            precision=precision,
        )
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": params.threads * params.lanes,
        # A stream computes one batch at a time: the batcher has put the rows together already.
        "NUM_STREAMS": params.lanes,
        # Pinned threads of several processes would sit on the same cores.
        "ENABLE_CPU_PINNING": False,
        # Of batches of as many shapes (rows and length) what was prepared is kept, some third of a megabyte each for a
        # small encoder; by default of 5,000, and traffic has more than a thousand. It costs a tenth at the worst, where
        # no shape comes twice soon.
        "CPU_RUNTIME_CACHE_CAPACITY": 128,
    }
    try:
        return core.compile_model(core.read_model(folder.path / GRAPH), "CPU", settings)
    except RuntimeError as error:
        said = str(error).strip().splitlines() or ["no reason given"]
        raise BadFile(f"OpenVINO cannot run {folder.path / GRAPH}: {said[-1][:200]}", file=GRAPH) from None
