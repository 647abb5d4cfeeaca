"""From torch to files that a server loads: the base once, as an ONNX Runtime GenAI folder, and an adapter a version.

The base is exported with a LoRA branch in every linear whose weights are zero, of rank 1, and declared as graph inputs
of free rank: without an adapter it is the base, and an adapter file of any rank fills those inputs while it serves
(onnxruntime.AdapterFormat; ms to load). The layout of both stands in STAGE.md.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.training.adapters import WEIGHTS, read_config
from rejoinder.training.builder import build
from rejoinder.training.publish import already_published, file_digest, publish, tree_digest

FACTS = "rejoinder.json"
LAYOUT = "genai-lora/v1"
RANK = "lora_rank"
_ONNX_NAME = re.compile(r"model\.layers\.(\d+)\.(attn|mlp)\.(\w+)\.lora_([AB])\.MatMul\.weight")
_PEFT_KEY = re.compile(r"base_model\.model\.model\.layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.lora_([AB])\.weight")


def export_base(base: Path, out: Path) -> dict[str, Any]:
    """Writes the fp32 CPU export of a base to `out`, complete or not at all; returns what FACTS then
    holds, and the digest. An export of this base that stands there already is verified and left.

    fp32 because its greedy text equals torch's and an adapter is a small difference that int4 would drown.
    """
    key = f"sha256:{tree_digest(base)[0]}"
    if out.is_dir() and any(out.iterdir()):
        return read_facts(out) | {"digest": already_published(out, key)}
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=out.name + ".") as scratch:
        work = Path(scratch)
        _write_zero_adapter(base, work / "zero")
        build(base, work / "draft", work / "cache", field="base", adapter=work / "zero")
        inputs = _open_lora_inputs(work / "draft")
        facts = {
            "layout": LAYOUT,
            "base": key,
            "precision": "fp32",
            "lora_inputs": {name: list(shape) for name, shape in sorted(inputs.items())},
        }
        (work / "draft" / FACTS).write_text(json.dumps(facts, indent=2) + "\n")
        return facts | {"digest": publish(work / "draft", out, key)}


def export_adapter(export: Path, adapter: Path, out: Path) -> dict[str, Any]:
    """Writes a PEFT adapter as an `.onnx_adapter` file for an exported base; returns {"digest", "r", "inputs"}.

    BadFile where the adapter does not fit the export; the caller then has the wrong base, or another architecture.
    """
    import onnxruntime
    from safetensors.numpy import load_file

    facts = read_facts(export)
    config = read_config(adapter)
    named = config["base_model_name_or_path"]
    if named.startswith("sha256:") and named != facts["base"]:
        raise BadFile("the adapter was trained on another base than this export's", field="adapter")
    arrays = onnx_arrays(load_file(adapter / WEIGHTS), config, facts["lora_inputs"])
    form = onnxruntime.AdapterFormat()
    form.set_adapter_version(1)
    form.set_model_version(1)
    form.set_parameters({n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in sorted(arrays.items())})
    draft = out.with_name(out.name + ".new")
    form.export_adapter(str(draft))
    digest = file_digest(draft)
    os.replace(draft, out)
    return {"digest": digest, "r": config["r"], "inputs": len(arrays)}


def onnx_arrays(
    state: Mapping[str, np.ndarray], config: Mapping[str, Any], inputs: Mapping[str, list[int | str]]
) -> dict[str, np.ndarray]:
    """PEFT's arrays under the export's names: transposed, B multiplied by alpha / r, float32.

    state: {...lora_A.weight: (r, in), ...lora_B.weight: (out, r)}. Returns {name: (in, r) | (r, out)}; an input that
    the adapter does not fill keeps its zero.
    """
    if config.get("rank_pattern") or config.get("alpha_pattern"):
        raise BadFile("an adapter with a rank or alpha of its own per layer cannot be exported", field="adapter")
    scale = config["lora_alpha"] / (config["r"] ** 0.5 if config.get("use_rslora") else config["r"])
    arrays: dict[str, np.ndarray] = {}
    for key, value in state.items():
        match = _PEFT_KEY.fullmatch(key)
        if not match:
            raise BadFile(f"the adapter holds a weight that an export has no place for: {key}", field="adapter")
        layer, part, linear, side = match.groups()
        block = "attn" if part == "self_attn" else part
        name = f"model.layers.{layer}.{block}.{linear}.lora_{side}.MatMul.weight"
        array = np.ascontiguousarray(value.T.astype(np.float32) * np.float32(scale if side == "B" else 1))
        expected = inputs.get(name)
        if expected is None or any(d not in (RANK, n) for d, n in zip(expected, array.shape, strict=True)):
            raise BadFile(f"the export has no input of this shape: {name} {array.shape}", field="adapter")
        arrays[name] = array
    return arrays


def read_facts(export: Path) -> dict[str, Any]:
    """The export's FACTS; BadFile where the folder holds none of this layout."""
    try:
        facts = json.loads((export / FACTS).read_text())
    except (OSError, json.JSONDecodeError):
        raise BadFile(f"{FACTS} is missing or is no JSON", field="export") from None
    if facts.get("layout") != LAYOUT:
        raise BadFile(f"the export's layout is not {LAYOUT}", field="export")
    return facts


def _write_zero_adapter(base: Path, folder: Path) -> None:
    """A rank-1 adapter on every linear; the builder wants one to make the branches from."""
    import torch

    from rejoinder.training.adapters import fresh, load_base, save_adapter
    from rejoinder.training.settings import LoraSettings

    model = fresh(load_base(base, "float32", torch.device("cpu")), LoraSettings(r=1, alpha=1), seed=0)
    save_adapter(model, folder, "")


def _open_lora_inputs(folder: Path) -> dict[str, tuple[int | str, ...]]:
    """Zeroes every LoRA initializer and declares it a graph input of free rank, in place; returns their shapes."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    inputs: dict[str, tuple[int | str, ...]] = {}
    for initializer in model.graph.initializer:
        match = _ONNX_NAME.fullmatch(initializer.name)
        if not match:
            continue
        shape: list[int | str] = list(initializer.dims)
        zeros = np.zeros(tuple(initializer.dims), np.float32)
        initializer.CopyFrom(onnx.numpy_helper.from_array(zeros, initializer.name))
        shape[1 if match[4] == "A" else 0] = RANK
        model.graph.input.append(onnx.helper.make_tensor_value_info(initializer.name, onnx.TensorProto.FLOAT, shape))
        inputs[initializer.name] = tuple(shape)
    if not inputs:
        raise FailedPrecondition("the model builder made no LoRA branches for this architecture", field="base")
    # The recorded shapes between A and B say rank 1, which an adapter of another rank contradicts.
    kept = [value for value in model.graph.value_info if ".lora_A." not in value.name and "/lora_A/" not in value.name]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)
    # The builder adds the commit of the repository it was started in: the same model would have another digest there.
    model.producer_version = version("onnxruntime-genai")
    (folder / "model.onnx.data").unlink()
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True, location="model.onnx.data")
    return inputs
