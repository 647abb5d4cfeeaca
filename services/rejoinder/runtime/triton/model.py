"""What Triton's python backend runs: one version's graph on ONNX Runtime. Copied into each version's folder.

It imports nothing of ours but what lies beside it: a stub has an interpreter of its own, whose numpy must be below 2
(2 hands arrays over broken, without a word). The stub knows no virtual environment: $REJOINDER_TRITON_SITE names the
`site-packages` that hold numpy and onnxruntime, where the interpreter itself does not.
"""

import json
import os
import site
from pathlib import Path

if "REJOINDER_TRITON_SITE" in os.environ:
    site.addsitedir(os.environ["REJOINDER_TRITON_SITE"])

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from sealed import fault


class TritonPythonModel:
    """owns: the session. Files that are not what their digest says are not loaded."""

    def initialize(self, args):
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        found = fault(folder)
        if found:
            raise pb_utils.TritonModelException(found)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(config["parameters"]["threads"]["string_value"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = ["CPUExecutionProvider"]
        if args["model_instance_kind"] == "GPU":
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": args["model_instance_device_id"]}))
        self._session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=providers)
        # A runtime that cannot have the GPU takes the CPU, with a line in its log.
        if len(providers) > 1 and "CUDAExecutionProvider" not in self._session.get_providers():
            raise pb_utils.TritonModelException(
                "the runtime has no CUDA here: install onnxruntime-gpu, or place on CPUs"
            )
        self._inputs = [each["name"] for each in config["input"]]
        self._outputs = [each["name"] for each in config["output"]]

    def execute(self, requests):
        """The requests of a dynamic batch have rows of one length: they are run as one."""
        given = [self._arrays(request) for request in requests]
        sizes = [len(arrays[self._inputs[0]]) for arrays in given]
        joined = {name: np.concatenate([arrays[name] for arrays in given]) for name in self._inputs}
        found = dict(zip(self._outputs, self._session.run(self._outputs, joined), strict=True))
        ends = np.cumsum(sizes)
        return [self._response(found, end - size, end) for size, end in zip(sizes, ends, strict=True)]

    def _arrays(self, request):
        return {name: pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in self._inputs}

    def _response(self, found, start, end):
        """An output of one number a row, such as a score, goes as an array of one: Triton knows no other."""
        parts = {name: values[start:end] for name, values in found.items()}
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, part if part.ndim > 1 else part[:, None]) for name, part in parts.items()]
        )

    def finalize(self):
        self._session = None
