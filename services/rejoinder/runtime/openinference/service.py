"""inference.GRPCInferenceService: decode, call, encode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Protocol

import grpc

from rejoinder.core.errors import InvalidArgument, NotFound
from rejoinder.runtime.call import Call
from rejoinder.runtime.openinference.model import TensorModel
from rejoinder.runtime.openinference.tensors import answer, parameters, texts, wanted
from rejoinder.v1 import open_inference_pb2 as oip
from rejoinder.v1 import open_inference_pb2_grpc

#: What the protocol's clients call it.
NAME = "inference.GRPCInferenceService"
#: Of every model: microseconds from now in which the answer must be there; the call's own deadline holds too.
_TIMEOUT = "timeout"


class OpenInference(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """process: what the server's metadata call it. models: the default first; names differ."""

    def __init__(self, process: str, models: Sequence[TensorModel]) -> None:
        self._process = process
        self._models = {model.name: model for model in models}

    def add_to(self, handlers: Handlers) -> None:
        """As a generated `add_…Servicer_to_server`, under the name that the protocol's clients call."""
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, _Renamed(handlers))

    async def ServerLive(self, request: oip.ServerLiveRequest, call: Call) -> oip.ServerLiveResponse:
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(self, request: oip.ServerReadyRequest, call: Call) -> oip.ServerReadyResponse:
        # Before it is ready every call is refused with LOADING, while it drains with DRAINING.
        return oip.ServerReadyResponse(ready=True)

    async def ModelReady(self, request: oip.ModelReadyRequest, call: Call) -> oip.ModelReadyResponse:
        model = self._models.get(request.name)
        return oip.ModelReadyResponse(ready=model is not None and request.version in ("", model.version))

    async def ServerMetadata(self, request: oip.ServerMetadataRequest, call: Call) -> oip.ServerMetadataResponse:
        return oip.ServerMetadataResponse(name=f"rejoinder-{self._process}", version=version("rejoinder"))

    async def ModelMetadata(self, request: oip.ModelMetadataRequest, call: Call) -> oip.ModelMetadataResponse:
        model = self._model(request.name, request.version)
        return oip.ModelMetadataResponse(
            name=model.name,
            versions=[model.version],
            platform=model.platform,
            inputs=[{"name": one.name, "datatype": "BYTES", "shape": [one.size]} for one in model.inputs],
            outputs=[{"name": one.name, "datatype": one.datatype, "shape": [-1]} for one in model.outputs],
        )

    async def ModelInfer(self, request: oip.ModelInferRequest, call: Call) -> oip.ModelInferResponse:
        model = self._model(request.model_name, request.model_version)
        said = parameters(request.parameters, {_TIMEOUT: int, **model.parameters})
        wanted(request, model.outputs)
        given = texts(request, model.inputs)
        values = await model.infer(given, said, _sooner(call, said.pop(_TIMEOUT, None)))
        return answer(request, model.version, model.outputs, values)

    def _model(self, name: str, digest: str) -> TensorModel:
        model = self._models.get(name)
        if model is None:
            raise NotFound(f"no such model; served: {', '.join(self._models)}", model=name)
        if digest not in ("", model.version):
            raise NotFound("the model is not served in this version", model=name, version=digest)
        return model


class Handlers(Protocol):
    """What generated code fills: a server, or what stands in for one."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None: ...

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, grpc.RpcMethodHandler]) -> None: ...


class _Renamed:
    """Passes methods on under the protocol's name."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """Those carry the name of our proto; the registered ones are the same."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, grpc.RpcMethodHandler]) -> None:
        self._handlers.add_registered_method_handlers(NAME, methods)


def _sooner(call: Call, timeout_us: Any) -> Call:
    if timeout_us is None:
        return call
    if timeout_us <= 0:
        raise InvalidArgument("timeout must be above 0", field=_TIMEOUT)
    at = call.clock.monotonic() + timeout_us / 1e6
    return replace(call, deadline=at if call.deadline is None else min(at, call.deadline))
