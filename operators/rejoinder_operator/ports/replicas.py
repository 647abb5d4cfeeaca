"""All pods of a policy service, found anew by name at each look: a headless Service has one address a pod."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from rejoinder.core.errors import Unavailable


class Closes(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closes)


class Resolved(Mapping[str, C], Generic[C]):
    """Address → client, as the name resolves now. owns: the clients; those of addresses that are gone are closed. For
    any thread.

    target: `name:port`. Raises Unavailable while the name does not resolve: without knowing all replicas nothing is
    decided.
    """

    def __init__(self, target: str, connect: Callable[[str], C]) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._connect = connect
        self._clients: dict[str, C] = {}
        self._lock = threading.Lock()

    def __getitem__(self, address: str) -> C:
        return self._clients[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def items(self) -> ItemsView[str, C]:
        return self._now().items()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _now(self) -> dict[str, C]:
        try:
            found = socket.getaddrinfo(self._host, int(self._port), type=socket.SOCK_STREAM)
        except OSError:
            raise Unavailable("the policy service's name does not resolve", name=self._host) from None
        there = {_address(entry[4]) for entry in found}
        with self._lock:
            for gone in self._clients.keys() - there:
                self._clients.pop(gone).close()
            for new in sorted(there - self._clients.keys()):
                self._clients[new] = self._connect(new)
            return dict(self._clients)


def _address(found: tuple[object, ...]) -> str:
    host, port = str(found[0]), found[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
