"""The Open Inference Protocol, version 2 (KServe's `inference.GRPCInferenceService`), over models of texts.

Read model.py (what a process offers as a model), tensors.py (texts out of a request, tensors into an answer),
service.py (one method per RPC).
"""

from rejoinder.runtime.openinference.model import Output, TensorModel, TextInput
from rejoinder.runtime.openinference.service import OpenInference

__all__ = ["OpenInference", "Output", "TensorModel", "TextInput"]
