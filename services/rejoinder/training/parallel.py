"""One process or several (torchrun): each takes its share of a step's micro-batches, gradients and figures are summed.

Only the adapter's gradients travel, a few megabytes a step, so no wrapper around the model is needed; a base that does
not fit one device needs sharding, which this loop does not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Team:
    """rank of size; a team of one never communicates."""

    rank: int = 0
    size: int = 1

    def share(self, batches: list[list[int]]) -> list[list[int]]:
        """This process's micro-batches of one step."""
        return batches[self.rank :: self.size]

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Replaces every tensor by its sum over the team, in one message."""
        if self.size == 1:
            return
        tensors = list(tensors)
        flat = torch.cat([t.flatten() for t in tensors])
        torch.distributed.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


@contextmanager
def joined(environment: dict[str, str], device: torch.device) -> Iterator[Team]:
    """The team that torchrun's variables (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT) describe; alone without them."""
    size = int(environment.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(int(environment["RANK"]), size)
    finally:
        torch.distributed.destroy_process_group()
