"""How much memory a run will need, said before it starts (F17), and how much there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rejoinder.core.errors import ResourceExhausted
from rejoinder.training.logps import HEAD_SLICE_TOKENS, causal_lm

MB = 1024 * 1024


@dataclass(frozen=True)
class Estimate:
    """Bytes by cause, for the largest forward and backward pass of a run."""

    weights: int
    adapter: int
    activations: int
    attention_mask: int
    logits: int

    @property
    def total(self) -> int:
        return self.weights + self.adapter + self.activations + self.attention_mask + self.logits


def estimate(model: Any, rows: int, length: int, vocabulary: int) -> Estimate:
    """For `rows` packed rows of `length` tokens. `model` carries its adapter already.

    A linear of the decoder keeps its input and gives an output that the next step keeps. That is about twice what
    autograd holds; the rest goes to the backward pass's own buffers. The adapter is counted four times: value,
    gradient and AdamW's two moments.
    """
    tokens = rows * length
    frozen = [p for p in model.parameters() if not p.requires_grad]
    trained = [p for p in model.parameters() if p.requires_grad]
    width = next(iter(frozen)).element_size()
    linears = (m for m in causal_lm(model).get_decoder().modules() if isinstance(m, torch.nn.Linear))
    saved = sum(m.in_features + m.out_features for m in linears)
    return Estimate(
        weights=sum(p.numel() * p.element_size() for p in frozen),
        adapter=4 * sum(p.numel() * p.element_size() for p in trained),
        activations=tokens * saved * width,
        attention_mask=rows * length * length * (1 + 2 * width),
        logits=3 * min(tokens, HEAD_SLICE_TOKENS) * vocabulary * 4,
    )


def available(device: torch.device, cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process may still take: the GPU's free memory, or the smaller of machine and container."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    try:
        limit = int((cgroup / "memory.max").read_text()) - int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, limit)


def refuse_above(needed: Estimate, limit: int) -> None:
    """ResourceExhausted, with the largest causes, where a run would not fit."""
    if needed.total <= limit:
        return
    causes = ", ".join(f"{name} {value // MB} MB" for name, value in sorted(vars(needed).items(), key=lambda c: -c[1]))
    raise ResourceExhausted(
        f"training needs about {needed.total // MB} MB of {limit // MB} MB ({causes}); "
        "lower tokens_per_batch or max_tokens",
        needed_mb=needed.total // MB,
        limit_mb=limit // MB,
    )
