"""What a process offers as a model of the protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rejoinder.runtime.call import Call

Value = bool | int | float | str


@dataclass(frozen=True)
class TextInput:
    """A BYTES tensor of one dimension, UTF-8. size: of its only dimension, -1 = any. A required one is never empty."""

    name: str
    size: int = -1
    required: bool = True


@dataclass(frozen=True)
class Output:
    """datatype: BYTES | INT64 | FP64; one dimension, of any size."""

    name: str
    datatype: str


#: Texts by input (those that came), parameters (those that came), the call → values by output, in any order.
Infer = Callable[[Mapping[str, list[str]], Mapping[str, Value], Call], Awaitable[Mapping[str, Sequence[object]]]]


@dataclass(frozen=True)
class TensorModel:
    """version: the digest of the weights. parameters: name → type of what a request may say beside its tensors."""

    name: str
    version: str
    platform: str
    inputs: Sequence[TextInput]
    outputs: Sequence[Output]
    infer: Infer
    parameters: Mapping[str, type] = field(default_factory=dict)
