"""A Triton model repository of our encoders: what is written for a version, and what is taken out again.

    NAME/config.pbtxt      NAME/<version>/{model.onnx, tokenizer.json, model.json, …, digest, model.py, sealed.py}

A version's number is the beginning of its model's digest: whoever asks for a number gets those weights or none, with
every backend of Triton's, and a version is added without the configuration being another, which would load all of them
anew. The tensors of a name never change: another shape is another name.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rejoinder.core.errors import BadFile, DataLoss, FailedPrecondition, InvalidArgument, NotFound
from rejoinder.core.modelfolder import GRAPH, ModelFolder, verified
from rejoinder.runtime.backends import backend_of
from rejoinder.runtime.triton.sealed import NOT_COMPILED, PROGRAMS, fault, version_of

CONFIG = "config.pbtxt"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_TYPES = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64", "tensor(int32)": "TYPE_INT32"}


@dataclass(frozen=True)
class Placing:
    """How Triton runs a model. rows: at most so many of a batch. gpus: their numbers, none = the CPU. instances: on
    each of them. threads: of a session on a CPU. batches: Triton joins requests of one length, those of several
    replicas (our own batcher has made batches of each replica's already); then queued: requests that wait at most,
    delay_us: how long a batch waits for more.
    """

    backend: Literal["onnxruntime", "python"] = "onnxruntime"
    rows: int = 64
    gpus: tuple[int, ...] = ()
    instances: int = 1
    threads: int = 2
    batches: bool = False
    queued: int = 256
    delay_us: int = 0


@dataclass(frozen=True)
class Tensor:
    """dims: without that of the batch, -1 = any."""

    name: str
    type: str
    dims: tuple[int, ...]


def write(source: Path, repository: Path, name: str, placing: Placing) -> str:
    """Adds a model folder's version, whole or not at all; returns its number. May be repeated.

    Raises BadFile, DataLoss (the folder is not what its digest says), BadSettings for a folder that was compiled for
    another backend, InvalidArgument for a name that could be no folder's, FailedPrecondition where the name stands for
    a model with other tensors, or takes more rows already: who asks for its versions learnt at the start how many he
    may send.
    """
    if not _NAME.fullmatch(name):
        raise InvalidArgument("a model is called by up to 128 of A-Z a-z 0-9 . _ -", field="name")
    folder = verified(source)
    backend_of(folder, "triton")
    version = version_of(folder.digest)
    inputs, outputs = tensors_of(folder)
    model, config = repository / name, repository / name / CONFIG
    tensors = _tensors("input", inputs) + _tensors("output", outputs)
    if config.is_file():
        said = config.read_text("utf-8")
        if tensors != _tensors_in(said):
            raise FailedPrecondition("the name stands for a model with other tensors; give another", name=name)
        if placing.rows < (had := _rows_in(said)):
            raise FailedPrecondition(f"the name takes {had} rows already; give as many or more", name=name, rows=had)
    model.mkdir(parents=True, exist_ok=True)
    _put_config(config, f'name: "{name}"\n{tensors}{_rest(placing)}')
    if not (model / version).is_dir():
        # Beside it, where Triton sees no version: a folder that is half there is never loaded.
        aside = model / f".{version}.{uuid.uuid4().hex}"
        try:
            shutil.copytree(folder.path, aside)
            for program in PROGRAMS:
                shutil.copy(Path(__file__).with_name(program), aside)
            (aside / NOT_COMPILED).touch()
            os.rename(aside, model / version)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return version


def drop(repository: Path, name: str, version: str) -> None:
    """Takes a version out. Raises NotFound, FailedPrecondition for a model's last one: that would end its service."""
    there = versions(repository / name)
    if version not in there:
        raise NotFound("the repository has no such version", name=name, version=version)
    if len(there) == 1:
        raise FailedPrecondition("a model's last version is not dropped", name=name, version=version)
    aside = repository / name / f".{version}.{uuid.uuid4().hex}"
    (repository / name / version).rename(aside)
    shutil.rmtree(aside)


def versions(model: Path) -> list[str]:
    """Numbers of a model's versions."""
    return sorted(each.name for each in model.iterdir() if each.is_dir() and each.name.isdigit())


def wanted(repository: Path) -> dict[str, frozenset[str]]:
    """Model → its versions, of all that the repository holds."""
    models = [each for each in repository.iterdir() if (each / CONFIG).is_file()]
    return {model.name: frozenset(found) for model in models if (found := versions(model))}


def only(repository: Path, name: str, versions: Iterable[str]) -> str:
    """A model's configuration with no versions but these, as JSON: what Triton takes at a load in place of the file.
    Versions of it that it has are not loaded anew. Raises BadFile for one that a person has broken."""
    from google.protobuf import json_format, text_format
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    try:
        config = text_format.Parse((repository / name / CONFIG).read_text("utf-8"), ModelConfig())
    except text_format.ParseError:
        raise BadFile("the model's configuration is none that Triton knows", name=name) from None
    config.version_policy.specific.versions.extend(sorted(map(int, versions)))
    return json_format.MessageToJson(config, preserving_proto_field_name=True, indent=None)


def check(folder: Path) -> None:
    """Raises DataLoss where a version is not what its number says."""
    found = fault(folder)
    if found:
        raise DataLoss(found, version=folder.name)


def tensors_of(folder: ModelFolder) -> tuple[list[Tensor], list[Tensor]]:
    """What goes into a graph and what comes out of it. Raises BadFile for a type that we never wrote."""
    from rejoinder.runtime.backends.onnx import session_of

    session: Any = session_of(folder.path / GRAPH, 1)
    return [_tensor(each) for each in session.get_inputs()], [_tensor(each) for each in session.get_outputs()]


def _tensor(told: Any) -> Tensor:
    if told.type not in _TYPES:
        raise BadFile(f"a graph with a tensor of {told.type}", tensor=told.name)
    return Tensor(told.name, _TYPES[told.type], tuple(n if isinstance(n, int) else -1 for n in told.shape[1:]))


def _tensors(kind: str, tensors: Sequence[Tensor]) -> str:
    return "".join(f"{kind} [ {{ {_fields(each)} }} ]\n" for each in tensors)


def _tensors_in(config: str) -> str:
    """Those of a configuration that we wrote."""
    return "".join(line for line in config.splitlines(True) if line.startswith(("input ", "output ")))


def _rows_in(config: str) -> int:
    found = re.search(r"^max_batch_size: (\d+)$", config, re.MULTILINE)
    return int(found[1]) if found else 0


def _fields(tensor: Tensor) -> str:
    # Triton knows no tensor without a size of its own: a score is one of size 1 that is a scalar to the graph.
    dims = f"dims: {list(tensor.dims)}" if tensor.dims else "dims: [1] reshape { shape: [] }"
    return f'name: "{tensor.name}" data_type: {tensor.type} {dims}'


def _rest(placing: Placing) -> str:
    where = f"kind: KIND_GPU gpus: {list(placing.gpus)}" if placing.gpus else "kind: KIND_CPU"
    parameters: Mapping[str, int] = (
        {"threads": placing.threads}
        if placing.backend == "python"
        else {"intra_op_thread_count": placing.threads, "inter_op_thread_count": 1}
    )
    return (
        f'backend: "{placing.backend}"\n'
        f"max_batch_size: {placing.rows}\n"
        "version_policy { all { } }\n"
        f"instance_group [ {{ {where} count: {placing.instances} }} ]\n"
        + (_batches(placing) if placing.batches else "")
        + "".join(f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}\n' for k, v in parameters.items())
    )


def _batches(placing: Placing) -> str:
    return (
        f"dynamic_batching {{ max_queue_delay_microseconds: {placing.delay_us} default_queue_policy {{ "
        f"timeout_action: REJECT allow_timeout_override: true max_queue_size: {placing.queued} }} }}\n"
    )


def _put_config(config: Path, text: str) -> None:
    """Left alone where it is the same: Triton loads every version anew for a file that was touched."""
    if config.is_file() and config.read_text("utf-8") == text:
        return
    beside = config.with_name(f".{CONFIG}.{uuid.uuid4().hex}")
    beside.write_text(text, "utf-8")
    beside.replace(config)
