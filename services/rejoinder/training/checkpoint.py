"""Resume: adapter, AdamW moments and metric lines of one step in one file, replaced in one rename."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """After `step` steps: parameters by name, first and second moments by name, and the metric lines so far."""

    step: int
    parameters: dict[str, Tensor]
    first: dict[str, Tensor]
    second: dict[str, Tensor]
    lines: list[dict[str, float]]


def save(path: Path, key: str, state: Checkpoint) -> None:
    """Replaces the file; `key` says which run it belongs to. Killed at any moment, the file before it stays whole."""
    from safetensors.torch import save_file

    parts = {"parameter": state.parameters, "first": state.first, "second": state.second}
    tensors = {f"{part}/{name}": t.detach().cpu().contiguous() for part, d in parts.items() for name, t in d.items()}
    new = path.with_suffix(".new")
    save_file(tensors, new, {"key": key, "step": str(state.step), "lines": json.dumps(state.lines)})
    with new.open("rb") as handle:
        os.fsync(handle.fileno())
    os.replace(new, path)


def load(path: Path, key: str) -> Checkpoint | None:
    """The checkpoint of this run; None where there is none or it belongs to other inputs."""
    from safetensors import safe_open

    if not path.exists():
        return None
    parts: dict[str, dict[str, Tensor]] = {"parameter": {}, "first": {}, "second": {}}
    with safe_open(path, "pt") as file:
        facts = file.metadata()
        if facts["key"] != key:
            return None
        for name in file.keys():  # noqa: SIM118 - the handle is no mapping
            part, _, rest = name.partition("/")
            parts[part][rest] = file.get_tensor(name)
    lines = json.loads(facts["lines"])
    return Checkpoint(int(facts["step"]), parts["parameter"], parts["first"], parts["second"], lines)
