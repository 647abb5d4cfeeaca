"""A Triton server: one version of a model, named by its digest, over gRPC.

A version's number is made of the digest (runtime/triton/sealed.py) and named in every request, and every answer says
which it is of: what is served is what was asked for, or nothing is. Whatever passes by itself (the server is away, the
version is not loaded, its process has died and is being loaded anew) is UNAVAILABLE, to be tried again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rejoinder.core.errors import BadSettings, DataLoss, DeadlineExceeded, Loading, QueueFull, RejoinderError
from rejoinder.core.modelfolder import ModelFolder
from rejoinder.runtime.triton.sealed import version_of

#: What a caller is told to wait: a version is back some three seconds after its process has died.
_RETRY_S = 1.0
#: One look whether the version is there, at the start.
_LOOK_S = 2.0
#: What Triton's python backend says of a model whose process has died; it says INTERNAL of a model's own errors too.
DEAD = ("is not healthy", "Failed to obtain the health mutex")
#: What Triton says of a full queue, with the status that it has for a server that is away.
_FULL = "Exceeds maximum queue size"
_CHANNEL = [
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.dns_min_time_between_resolutions_ms", 2000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


@dataclass(frozen=True)
class TritonParams:
    """target: `host:port` of its gRPC, or `dns:///name:port` to spread calls over replicas. model: as the repository
    calls it, "" = as the folder is called. wait_s: for the version to be there at the start. call_s: a batch may take,
    where none of its callers says less."""

    target: str = "127.0.0.1:8001"
    model: str = ""
    wait_s: float = 120.0
    call_s: float = 30.0


class TritonGraph:
    """owns: the connection, what the server says of the version. May be called from any thread, once it is ready."""

    def __init__(self, client: Any, folder: ModelFolder, params: TritonParams) -> None:
        self.digest = folder.digest
        self._client = client
        self._model = params.model or folder.path.name
        self._version = version_of(folder.digest)
        self._call_s = params.call_s
        self._waits_until = time.monotonic() + params.wait_s
        #: Rows of a request at most; 0 = the version has not been seen.
        self._rows = 0
        #: Outputs that are one number to the graph and an array of one to Triton.
        self._scalars: frozenset[str] = frozenset()

    def ready(self) -> bool:
        """Whether the version is served: one look, of some seconds at most. Raises Loading where it did not come in
        time, and what the server said where waiting does not help."""
        from tritonclient.utils import InferenceServerException

        try:
            if self._client.is_model_ready(self._model, self._version, client_timeout=_LOOK_S):
                config = self._client.get_model_config(self._model, self._version, client_timeout=_LOOK_S).config
                self._scalars = frozenset(each.name for each in config.output if each.HasField("reshape"))
                self._rows = max(1, config.max_batch_size)
                return True
        except InferenceServerException as failure:
            error = error_of(failure)
            if not isinstance(error, Loading | DeadlineExceeded):
                raise error from None
        if time.monotonic() > self._waits_until:
            raise Loading("the model server does not serve the version", model=self._model, version=self._version)
        return False

    def infer(self, tensors: Mapping[str, np.ndarray], left_s: float | None = None) -> Mapping[str, np.ndarray]:
        """Raises Loading (also where it took longer than a call may), DeadlineExceeded, QueueFull, DataLoss for an
        answer of other weights."""
        if not self._rows:
            raise Loading("the model server has not shown the version yet", retry_after_s=_RETRY_S)
        ends = time.monotonic() + (self._call_s if left_s is None else min(left_s, self._call_s))
        try:
            parts = [self._part(part, ends - time.monotonic()) for part in self._cut(tensors)]
        except DeadlineExceeded:
            if left_s is not None and left_s <= self._call_s:
                raise
            # Somebody waits still: the server is slow, not the caller late.
            raise Loading("the model server took longer than a call may", retry_after_s=_RETRY_S) from None
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        self._client.close()

    def _cut(self, tensors: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
        """Parts of as many rows as Triton takes at once."""
        rows = len(next(iter(tensors.values())))
        for at in range(0, rows, self._rows):
            yield {name: values[at : at + self._rows] for name, values in tensors.items()}

    def _part(self, tensors: Mapping[str, np.ndarray], left_s: float) -> dict[str, np.ndarray]:
        from tritonclient.utils import InferenceServerException

        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed on the way to the model server")
        try:
            answer = self._client.infer(
                self._model,
                inputs_of(tensors),
                model_version=self._version,
                client_timeout=left_s,
                # Microseconds in Triton's own queue: what nobody waits for any more is not computed there either.
                timeout=max(1, round(left_s * 1e6)),
            )
        except InferenceServerException as failure:
            raise error_of(failure) from None
        told = answer.get_response()
        if told.model_version != self._version:
            raise DataLoss("the model server answered with other weights", expected=self._version)
        return {each.name: self._array(answer, each.name) for each in told.outputs}

    def _array(self, answer: Any, name: str) -> np.ndarray:
        values = answer.as_numpy(name)
        return values[:, 0] if name in self._scalars else values


def open_graph(folder: ModelFolder, params: TritonParams) -> TritonGraph:
    """Waits for nothing: who uses it asks `ready` first. Raises BadSettings where the client library is not
    installed."""
    return TritonGraph(client_of(params.target), folder, params)


def client_of(target: str) -> Any:
    """tritonclient's, which any thread may use. Raises BadSettings where the library is not installed."""
    try:
        from tritonclient.grpc import InferenceServerClient
    except ImportError:
        raise BadSettings("a Triton server needs tritonclient: install rejoinder[triton]", setting="backend") from None
    return InferenceServerClient(target, channel_args=_CHANNEL)


def inputs_of(tensors: Mapping[str, np.ndarray]) -> list[Any]:
    from tritonclient.grpc import InferInput
    from tritonclient.utils import np_to_triton_dtype

    out = []
    for name, values in tensors.items():
        out.append(InferInput(name, values.shape, np_to_triton_dtype(values.dtype)))
        out[-1].set_data_from_numpy(values)
    return out


def died(failure: Any) -> bool:
    """Whether it says that the model's process is gone."""
    said = failure.message() or ""
    return _status(failure) == "INTERNAL" and any(each in said for each in DEAD)


def _status(failure: Any) -> str:
    return (failure.status() or "").removeprefix("StatusCode.")


def error_of(failure: Any) -> RejoinderError:
    """One of ours for one of Triton's, whose text may quote a request and goes no further."""
    status = _status(failure)
    if status == "DEADLINE_EXCEEDED":
        return DeadlineExceeded("the deadline passed at the model server")
    # RESOURCE_EXHAUSTED is no queue: gRPC says it of a message that is too long, however often it is sent.
    if status == "UNAVAILABLE" and _FULL in (failure.message() or ""):
        return QueueFull("the model server's queue is full", retry_after_s=_RETRY_S)
    # NOT_FOUND: a version that was there when we began is being loaded anew, or its server is.
    if status in ("UNAVAILABLE", "NOT_FOUND", "CANCELLED") or died(failure):
        return Loading("the model server does not have the model at present", retry_after_s=_RETRY_S)
    return RejoinderError("the model server failed", status=status)
