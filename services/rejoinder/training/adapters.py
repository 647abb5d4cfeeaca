"""The trained adapter and what it is compared with: one frozen base, an adapter "policy", perhaps one "reference".

On disk an adapter is PEFT's layout (adapter_config.json, adapter_model.safetensors), written by us so that it names no
path of the machine and is byte-equal for equal weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rejoinder.core.errors import BadFile, FailedPrecondition
from rejoinder.training.settings import LoraSettings

POLICY, REFERENCE = "policy", "reference"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def load_base(folder: Path, dtype: str, device: torch.device) -> Any:
    """The frozen base with SDPA attention, in evaluation mode (no dropout), from a local folder only.

    On a CPU its packed rows are computed block by block.
    """
    from transformers import AutoModelForCausalLM

    from rejoinder.training import attention

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=getattr(torch, dtype), attn_implementation="sdpa", local_files_only=True
    )
    if device.type == "cpu":
        attention.install(model)
    return model.eval().to(device)


def fresh(base: Any, lora: LoraSettings, seed: int) -> Any:
    """A PeftModel whose "policy" changes nothing yet: A drawn from `seed`, B zero, on every linear but the head."""
    from peft import LoraConfig, get_peft_model

    from rejoinder.training.fused import fuse

    config = LoraConfig(
        r=lora.r, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return fuse(get_peft_model(base, config, adapter_name=POLICY).eval())


def continued(base: Any, folder: Path, lora: LoraSettings) -> Any:
    """A PeftModel whose "policy" is a trainable copy of an adapter; its rank and scale must be those asked for."""
    from peft import PeftModel

    from rejoinder.training.fused import fuse

    _refuse_other_shape(folder, lora)
    return fuse(PeftModel.from_pretrained(base, folder, adapter_name=POLICY, is_trainable=True).eval())


def add_reference(model: Any, folder: Path) -> None:
    """Loads a frozen adapter that `reference` can switch to."""
    model.load_adapter(str(folder), REFERENCE, is_trainable=False)
    model.set_adapter(POLICY)


@contextmanager
def reference(model: Any, name: str) -> Iterator[None]:
    """Inside, `model` is the frozen reference and no gradient is recorded; afterwards it is the policy again.

    name: "original" for the bare base, else the adapter that `add_reference` loaded.
    """
    with torch.no_grad():
        if name == "original":
            with model.disable_adapter():
                yield
            return
        model.set_adapter(REFERENCE, inference_mode=True)
        try:
            yield
        finally:
            model.set_adapter(POLICY)


def trainable(model: Any) -> dict[str, Tensor]:
    """The policy's parameters by name, in a fixed order."""
    return {name: p for name, p in sorted(model.named_parameters()) if f".{POLICY}." in name}


def save_adapter(model: Any, folder: Path, base_name: str) -> None:
    """Writes the policy in PEFT's layout; `base_name` is all that the file says about the base."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, adapter_name=POLICY, save_embedding_layers=False)
    save_file({k: state[k].detach().cpu().float().contiguous() for k in sorted(state)}, folder / WEIGHTS)
    config = model.peft_config[POLICY].to_dict()
    config |= {"base_model_name_or_path": base_name, "inference_mode": True, "revision": None}
    config = {key: sorted(value) if isinstance(value, set) else value for key, value in config.items()}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")


def read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json; BadFile where it is missing or no LoRA."""
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (OSError, json.JSONDecodeError):
        raise BadFile(f"{CONFIG} is missing or is no JSON", field="adapter") from None
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("modules_to_save"):
        raise BadFile("only plain LoRA adapters can be served", field="adapter")
    return config


def _refuse_other_shape(folder: Path, lora: LoraSettings) -> None:
    config = read_config(folder)
    found = (config["r"], config["lora_alpha"])
    if found != (lora.r, lora.alpha):
        raise FailedPrecondition(
            f"the previous adapter has r, alpha = {found}, the settings ask for {(lora.r, lora.alpha)}", field="lora"
        )
