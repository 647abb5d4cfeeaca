"""One forward pass over rows that each stand where they are: ONNX Runtime, an exported decoder, our keys and values.

The graph's attention (GroupQueryAttention) takes a past of its own length for every row and writes what is new into the
buffer that it reads, so rows join and leave a batch between any two tokens, and nothing is read twice. What is new may
be one token of many rows, or many tokens of one row; the operator takes no other mixture on a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import FailedPrecondition, NotFound
from rejoinder.runtime.backends.onnx import session_of
from rejoinder.runtime.backends.rows import BASE

CONFIG = "genai_config.json"
#: Tokens of one row that are read in one pass: the logits of all of them are computed.
MOST_AT_ONCE = 256
#: Tokens that two rows must have in common for a copy to be cheaper than to read them again.
WORTH_KEEPING = 16
#: Positions that a cache grows by.
_POSITIONS = 128
_SERIALS = count(1)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Shape:
    """Of a model: positions at most, layers, key-value heads, values of a head, words (1: a value of each token).
    ends: tokens that end a text."""

    context: int
    layers: int
    heads: int
    head_size: int
    vocabulary: int
    ends: frozenset[int]


class Cache:
    """owns: keys and values of rows, (2 · layers, slots, heads, length, head size): a layer's keys, then its values."""

    def __init__(self, shape: Shape, dtype: Any, slots: int, length: int) -> None:
        self._shape = shape
        self.values = np.zeros((2 * shape.layers, slots, shape.heads, length, shape.head_size), dtype)
        #: No other cache's, not even of one that is gone: a binding holds addresses.
        self.serial = next(_SERIALS)

    @property
    def slots(self) -> int:
        return int(self.values.shape[1])

    @property
    def length(self) -> int:
        return int(self.values.shape[3])

    def grown(self, slots: int, length: int, filled: Sequence[int]) -> Cache:
        """Itself where it is large enough, else a larger one. filled: positions that hold something, by slot."""
        if slots <= self.slots and length <= self.length:
            return self
        return self._of(max(slots, self.slots), max(length, self.length), filled)

    def shrunk(self, length: int, filled: Sequence[int]) -> Cache:
        """A shorter one where that frees half of it or more; else itself. filled: as above, none beyond `length`."""
        return self._of(self.slots, length, filled) if 2 * length <= self.length else self

    def _of(self, slots: int, length: int, filled: Sequence[int]) -> Cache:
        found = Cache(self._shape, self.values.dtype, slots, length)
        # What nobody filled is not touched: the system gives a page its memory when it is.
        for slot, most in enumerate(filled):
            found.values[:, slot, :, :most] = self.values[:, slot, :, :most]
        return found

    def copy(self, source: int, target: int, count: int) -> None:
        """The first `count` positions of a slot into another."""
        self.values[:, target, :, :count] = self.values[:, source, :, :count]


@dataclass
class _Bound:
    """A binding with an adapter's weights in it; to: the cache, slot and rows that it is bound to now."""

    binding: Any
    weights: Any
    to: tuple[int, int, int] = (0, 0, 0)


class Decoder:
    """owns: the session and the adapters' weights. Of one thread."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Loads an exported folder. Raises NotFound; FailedPrecondition for an export that cannot be decoded here."""
        if not (folder / CONFIG).exists():
            raise NotFound("the folder holds no exported generation model", folder=folder.name)
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        model, decoder = config["model"], config["model"]["decoder"]
        if decoder["session_options"].get("provider_options"):
            raise FailedPrecondition("the export is for another device; export it for the CPU", folder=folder.name)
        if not config.get("search", {}).get("past_present_share_buffer"):
            # Only attention that shares past and present takes rows of different lengths.
            raise FailedPrecondition("the export's attention is not grouped-query attention", folder=folder.name)
        # The adapters' inputs have default values on purpose; the runtime warns of each.
        self._session = session_of(folder / decoder["filename"], threads, warns=False)
        inputs, outputs = decoder["inputs"], decoder["outputs"]
        nodes = {node.name: node for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        ends = model["eos_token_id"]
        self.shape = Shape(
            context=int(model["context_length"]),
            layers=int(decoder["num_hidden_layers"]),
            heads=int(decoder["num_key_value_heads"]),
            head_size=int(decoder["head_size"]),
            # Of a reward model it is 1: a value instead of words.
            vocabulary=int(nodes[outputs["logits"]].shape[-1]),
            ends=frozenset(ends if isinstance(ends, list) else [ends]),
        )
        self._ids, self._mask = inputs["input_ids"], inputs["attention_mask"]
        self._positions, self._logits = inputs.get("position_ids", ""), outputs["logits"]
        self._pairs = [
            (inputs[f"past_{part}_names"] % layer, outputs[f"present_{part}_names"] % layer)
            for layer in range(self.shape.layers)
            for part in ("key", "value")
        ]
        self._inputs = frozenset(node.name for node in self._session.get_inputs())
        #: What an adapter may fill in: it has a default value, that of no adapter.
        self._open = frozenset(node.name for node in self._session.get_overridable_initializers())
        self._cached, self._scored = _TYPES[nodes[self._pairs[0][0]].type], _TYPES[nodes[self._logits].type]
        self._bound: dict[str, _Bound] = {BASE: _Bound(self._session.io_binding(), None)}
        self._out = np.empty(0, self._scored)

    def cache(self, slots: int, length: int) -> Cache:
        return Cache(self.shape, self._cached, slots, length)

    def load(self, name: str, path: Path) -> None:
        """Makes an adapter file (`.onnx_adapter`) usable under a name. Raises FailedPrecondition where its weights are
        not of this graph."""
        from onnxruntime import AdapterFormat

        file = AdapterFormat.read_adapter(str(path))
        weights: Mapping[str, Any] = file.get_parameters()
        if unknown := sorted(weights.keys() - self._open):
            raise FailedPrecondition("the adapter is of another model", weight=unknown[0], unknown=len(unknown))
        binding = self._session.io_binding()
        for weight, value in weights.items():
            binding.bind_ortvalue_input(weight, value)
        # The file's memory is what the weights lie in.
        self._bound[name] = _Bound(binding, (file, weights))
        try:
            # Weights of a shape that does not fit are the loader's to hear of, not a caller's.
            self.read(self.cache(1, 1), 0, [min(self.shape.ends)], 0, name)
        except Exception:
            del self._bound[name]
            raise

    def unload(self, name: str) -> None:
        del self._bound[name]

    def read(self, cache: Cache, slot: int, tokens: Sequence[int], past: int, adapter: str) -> np.ndarray:
        """Tokens of one row after its `past` first ones → their (T, V) logits, until the next call."""
        ids = np.array([tokens], np.int64)
        return self._run(cache, slot, ids, np.array([past]), adapter)[0]

    def step(self, cache: Cache, tokens: Sequence[int], lengths: Sequence[int], adapter: str) -> np.ndarray:
        """One token each for the rows in the first slots, whose lengths so far are given → (B, V) logits, until the
        next call."""
        return self._run(cache, 0, np.array(tokens, np.int64)[:, None], np.array(lengths), adapter)[:, 0]

    def _run(self, cache: Cache, slot: int, ids: np.ndarray, past_B: np.ndarray, adapter: str) -> np.ndarray:
        rows, new = ids.shape
        bound = self._bound[adapter]
        binding = bound.binding
        if bound.to != (cache.serial, slot, rows):
            dims = [rows, *cache.values.shape[2:]]
            for (past, present), part in zip(self._pairs, cache.values, strict=True):
                at = part[slot:].ctypes.data
                binding.bind_input(past, "cpu", 0, self._cached, dims, at)
                binding.bind_output(present, "cpu", 0, self._cached, dims, at)
            bound.to = (cache.serial, slot, rows)
        ends_B = past_B + new
        mask = (np.arange(int(ends_B.max())) < ends_B[:, None]).astype(np.int64)
        given = {self._ids: ids, self._mask: mask}
        if self._positions in self._inputs:
            given[self._positions] = past_B[:, None] + np.arange(new)
        for name, value in given.items():
            binding.bind_input(name, "cpu", 0, np.int64, list(value.shape), value.ctypes.data)
        size = rows * new * self.shape.vocabulary
        if self._out.size < size:
            self._out = np.empty(size, self._scored)
        dims = [rows, new, self.shape.vocabulary]
        binding.bind_output(self._logits, "cpu", 0, self._scored, dims, self._out.ctypes.data)
        self._session.run_with_iobinding(binding)
        return self._out[:size].reshape(dims).astype(np.float32, copy=False)


def rounded(needed: int, context: int) -> int:
    """Positions of a cache in which so many are needed."""
    return min(context, -(-needed // _POSITIONS) * _POSITIONS)


def common(one: Sequence[int], other: Sequence[int], most: int) -> int:
    """How many tokens both begin with, where it is more than `most`; else 0."""
    if min(len(one), len(other)) <= most or one[most] != other[most] or one[:most] != other[:most]:
        return 0
    end = min(len(one), len(other))
    return next((at for at in range(most, end) if one[at] != other[at]), end)
