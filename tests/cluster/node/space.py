"""The network of a cluster that lives in a namespace of its own, for a test that does not."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_CHUNK = 65536


class Space:
    """The network namespace of a process. owns: nothing that outlives a call but the sockets it returns."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/ns/net"

    def connect(self, host: str, port: int, timeout_s: float = 30.0) -> socket.socket:
        """A connection made inside; it stays there, whoever uses it. Raises OSError."""
        return self._inside(lambda: socket.create_connection((host, port), timeout_s))

    def listen(self, host: str, port: int) -> socket.socket:
        """A listener inside. Raises OSError."""
        return self._inside(lambda: socket.create_server((host, port)))

    def _inside(self, make: Callable[[], socket.socket]) -> socket.socket:
        found: list[socket.socket | OSError] = []

        def enter() -> None:
            # A namespace belongs to a thread: this one ends with its socket.
            try:
                descriptor = os.open(self._path, os.O_RDONLY)
                try:
                    if _LIBC.setns(descriptor, _CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                found.append(make())
            except OSError as error:
                found.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        (made,) = found
        if isinstance(made, OSError):
            raise made
        return made


class Relay:
    """A port that leads to an address in another namespace. owns: its listener and every connection.

    connect: makes a connection to where it leads.
    """

    def __init__(self, listener: socket.socket, connect: Callable[[], socket.socket]) -> None:
        self._listener, self._connect = listener, connect
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"{host}:{port}"

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # A listener that is only closed would still be accepted on by the thread that waits there.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = self._connect()
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, target), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            # Whoever of the two ends second closes both.
            if source not in self._open:
                return
            self._open.discard(source)
            if target not in self._open:
                source.close()
                target.close()
