"""Texts out of a request's tensors and values into an answer's. Pure; whatever a caller sends ends with a reason."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rejoinder.core.errors import BadEncoding, EmptyField, InvalidArgument, TooLong, UnknownRow
from rejoinder.runtime.openinference.model import Output, TextInput, Value
from rejoinder.v1 import open_inference_pb2 as oip

_LENGTH = struct.Struct("<I")
#: Elements of an input: more than any model here takes, few enough to be taken apart on the event loop.
_MOST = 10_000
#: How numbers lie in raw contents and where in typed ones.
_NUMBERS = {"INT64": ("<i8", "int64_contents"), "FP64": ("<f8", "fp64_contents")}


def texts(request: oip.ModelInferRequest, known: Sequence[TextInput]) -> dict[str, list[str]]:
    """Input → its texts. Raises BadEncoding, EmptyField, TooLong, UnknownRow, InvalidArgument."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise BadEncoding("raw_input_contents has not one entry per input", entries=len(raw))
    specs = {spec.name: spec for spec in known}
    out: dict[str, list[str]] = {}
    for at, tensor in enumerate(request.inputs):
        if tensor.name not in specs:
            raise UnknownRow("input", tensor.name, tuple(specs))
        if tensor.name in out:
            raise BadEncoding("an input is there twice", field=tensor.name)
        if tensor.parameters:
            raise InvalidArgument("inputs take no parameters; shared memory is not offered", field=tensor.name)
        if raw and tensor.HasField("contents"):
            raise BadEncoding("an input has contents beside the raw ones", field=tensor.name)
        elements = _split(tensor.name, raw[at]) if raw else tensor.contents.bytes_contents
        if len(elements) > _MOST:
            raise TooLong(tensor.name, len(elements), _MOST, "elements")
        out[tensor.name] = _texts(tensor, specs[tensor.name], elements)
    for spec in known:
        if spec.required and not out.get(spec.name):
            raise EmptyField(spec.name)
    return out


def _texts(tensor: oip.ModelInferRequest.InferInputTensor, spec: TextInput, elements: Iterable[bytes]) -> list[str]:
    if tensor.datatype != "BYTES":
        raise BadEncoding("the datatype must be BYTES", field=spec.name)
    try:
        found = [element.decode("utf-8") for element in elements]
    except UnicodeDecodeError:
        raise BadEncoding("an element is no UTF-8", field=spec.name) from None
    if list(tensor.shape) != [len(found)] or spec.size not in (-1, len(found)):
        raise BadEncoding("the shape must be one dimension of as many elements as there are", field=spec.name)
    return found


def _split(name: str, data: bytes) -> list[bytes]:
    """Elements of raw BYTES contents, one more than the most of them at most."""
    out: list[bytes] = []
    at = 0
    while at < len(data) and len(out) <= _MOST:
        if len(data) - at < _LENGTH.size:
            raise BadEncoding("raw contents end within a length", field=name)
        (size,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if size > len(data) - at:
            raise BadEncoding("raw contents end within an element", field=name)
        out.append(data[at : at + size])
        at += size
    return out


def parameters(given: Mapping[str, oip.InferParameter], known: Mapping[str, type]) -> dict[str, Value]:
    """Raises UnknownRow for one that nobody reads, InvalidArgument for another type."""
    out: dict[str, Value] = {}
    for name, parameter in sorted(given.items()):
        if name not in known:
            raise UnknownRow("parameter", name, tuple(known))
        which = parameter.WhichOneof("parameter_choice")
        value: Any = getattr(parameter, which) if which else None
        if known[name] is float and type(value) is int:
            value = float(value)
        kind = type(value)
        if kind is not known[name]:
            raise InvalidArgument("a parameter is of another type than its own", field=name)
        out[name] = value
    return out


def answer(
    request: oip.ModelInferRequest, version: str, known: Sequence[Output], values: Mapping[str, Sequence[object]]
) -> oip.ModelInferResponse:
    """The outputs that were asked for (none named: all), raw where the inputs were. Raises UnknownRow."""
    out = oip.ModelInferResponse(model_name=request.model_name, model_version=version, id=request.id)
    for output in wanted(request, known):
        tensor = out.outputs.add(name=output.name, datatype=output.datatype, shape=[len(values[output.name])])
        if request.raw_input_contents:
            out.raw_output_contents.append(_packed(output.datatype, values[output.name]))
        elif output.datatype == "BYTES":
            tensor.contents.bytes_contents.extend(str(value).encode() for value in values[output.name])
        else:
            getattr(tensor.contents, _NUMBERS[output.datatype][1]).extend(values[output.name])
    return out


def wanted(request: oip.ModelInferRequest, known: Sequence[Output]) -> list[Output]:
    """Raises UnknownRow, InvalidArgument, BadEncoding: before anything is computed."""
    outputs = {output.name: output for output in known}
    if len(request.outputs) > len({asked.name for asked in request.outputs}):
        # A few bytes each in the request, a whole tensor each in the answer.
        raise BadEncoding("an output is asked for twice", field="outputs")
    for asked in request.outputs:
        if asked.name not in outputs:
            raise UnknownRow("output", asked.name, tuple(outputs))
        if asked.parameters:
            raise InvalidArgument("outputs take no parameters", field=asked.name)
    return [outputs[asked.name] for asked in request.outputs] or list(known)


def _packed(datatype: str, values: Sequence[object]) -> bytes:
    if datatype == "BYTES":
        elements = [str(value).encode() for value in values]
        return b"".join(_LENGTH.pack(len(element)) + element for element in elements)
    return np.asarray(values, dtype=_NUMBERS[datatype][0]).tobytes()
