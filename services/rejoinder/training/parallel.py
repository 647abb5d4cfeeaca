"""One process or several (torchrun): each takes its share of a step's micro-batches, gradients and figures are summed.
Within a process on a CPU, two micro-batches at a time: an operation on a few hundred tokens is too small to share.

Only the adapter's gradients travel, a few megabytes a step, so no wrapper around the model is needed; a base that does
not fit one device needs sharding, which this loop does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")
Made = TypeVar("Made")


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


def at_a_time(device: torch.device) -> int:
    """How many micro-batches a process computes at once."""
    return 2 if device.type == "cpu" and torch.get_num_threads() > 1 else 1


class Hands:
    """Makes something of several items on `count` threads of this process. owns: those threads, until it is left.

    Each has its share of torch's threads, so what is made of an item depends neither on what another thread does
    meanwhile nor on which came first. A thread begins with gradients recorded, whatever the caller's mode.
    """

    def __init__(self, device: torch.device) -> None:
        self._threads = torch.get_num_threads()
        self.count = at_a_time(device)
        self._pool = None
        if self.count > 1:
            share = self._threads // self.count
            self._pool = ThreadPoolExecutor(self.count, initializer=torch.set_num_threads, initargs=(share,))

    def __enter__(self) -> Hands:
        return self

    def __exit__(self, *left: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            # What a thread was told is also what torch tells threads to come.
            torch.set_num_threads(self._threads)

    def map(self, make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
        """What `make` answers for every item, in their order, each as soon as it is ready. Raises what it raised."""
        return map(make, items) if self._pool is None else self._pool.map(make, items)
