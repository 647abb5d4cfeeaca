"""The HTTP server in a process of ours: bound before anything is built, patient for a while, drained with the rest."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from rejoinder.core.errors import BadSettings
from rejoinder.gateway.guard import CROWDED, Guard
from rejoinder.gateway.settings import HttpTheme
from rejoinder.runtime.exporter import busy
from rejoinder.runtime.files import WatchedFiles
from rejoinder.runtime.settings import TlsSettings

#: Between two looks at the certificate's files, seconds.
_LOOK_S = 1.0
#: What remains of the grace for connections that were cut off, seconds.
_LAST_S = 1.0
#: Bytes that wait for the end of the loop's turn at most.
_AT_ONCE = 64 * 1024


def bind(host: str, port: int) -> socket.socket:
    """A listening socket that nobody shares. Raises PortBusy."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio sends at once only on sockets of TCP by name, and what is accepted here has this
    # socket's. Else an answer's body waits for the acknowledgement of its head, 40 ms on Linux.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(1024)
        made.setblocking(False)
    except OSError:
        made.close()
        raise busy(host, port, "http.port") from None
    return made


class HttpServer:
    """owns: the socket and uvicorn's server."""

    def __init__(
        self,
        sock: socket.socket,
        app: ASGIApp,
        guard: Guard,
        http: HttpTheme,
        tls: TlsSettings,
        grace_s: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._sock = sock
        self._guard = guard
        config = uvicorn.Config(
            app,
            http=_patient(http.head_s, http.stall_s, http.max_connections),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            # A warning for each request that is none would let anybody fill the log.
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(max(1, http.keep_alive_s)),
            timeout_graceful_shutdown=int(max(1, grace_s - _LAST_S)),
            h11_max_incomplete_event_size=http.head_bytes,
            **_files(tls),
        )
        try:
            config.load()
        except (OSError, ssl.SSLError):
            raise BadSettings("server.tls: certificate, key or roots cannot be read") from None
        self._certificate = _watched(config, tls, failed)
        self._server = _Unsignalled(config)

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until told to stop, then lets go: what runs gets the grace."""
        serving = asyncio.create_task(self._server.serve([self._sock]))
        self._guard.open()
        stopping = asyncio.create_task(stop.wait())
        while not (stopping.done() or serving.done()):
            await asyncio.wait({serving, stopping}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
            if self._certificate is not None:
                self._certificate.get()
        self._guard.drain()
        stopping.cancel()
        self._server.should_exit = True
        await serving

    def close(self) -> None:
        self._sock.close()


class _Unsignalled(uvicorn.Server):
    """Signals are the process's own matter."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _patient(head_s: float, stall_s: float, most: int) -> type[H11Protocol]:
    """The protocol with an end to its patience: uvicorn waits for ever for a request's headers, for the rest of one
    that was answered before its end, and for a reader that reads no more. most: connections; those beyond are marked.
    """

    class Patient(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Joined(transport, self.loop))  # type: ignore[arg-type]
            self._wait()
            # uvicorn's own limit refuses whoever asks next, in no shape that clients read.
            if len(self.connections) > most:
                self.app_state = {**self.app_state, CROWDED: True}

        def data_received(self, data: bytes) -> None:
            if self._waiting is None and self._owed:
                self._wait()
            super().data_received(data)
            if not self._owed:
                self._done()

        @property
        def _owed(self) -> bool:
            """Whether nobody but this timer waits for what comes."""
            answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
            return self.conn.their_state is h11.IDLE or (answered and self.conn.their_state is h11.SEND_BODY)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._stalled = self.loop.call_later(stall_s, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._moves()

        def connection_lost(self, exc: Exception | None) -> None:
            self._done()
            self._moves()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._waiting = self.loop.call_later(head_s, self._late)

        def _done(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _moves(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

        def _late(self) -> None:
            self._waiting = None
            self.transport.close()

    return Patient


class _Joined:
    """A transport that sends what is written within one turn of the loop at once: uvicorn writes the head, the body and
    the end of an answer apart, and a system call is a third of what an answer costs here. owns: what waits."""

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self._parts: list[bytes] = []
        self._bytes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes >= _AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._parts:
            data, self._parts, self._bytes = b"".join(self._parts), [], 0
            self._inner.write(data)


def _files(tls: TlsSettings) -> dict[str, Any]:
    if tls.cert_file is None and tls.key_file is None and tls.client_ca_file is None:
        return {}
    if tls.cert_file is None or tls.key_file is None:
        raise BadSettings("server.tls needs both cert_file and key_file")
    out: dict[str, Any] = {"ssl_certfile": str(tls.cert_file), "ssl_keyfile": str(tls.key_file)}
    if tls.client_ca_file is not None:
        out |= {"ssl_ca_certs": str(tls.client_ca_file), "ssl_cert_reqs": ssl.CERT_REQUIRED}
    return out


def _watched(
    config: uvicorn.Config, tls: TlsSettings, failed: Callable[[Exception], None]
) -> WatchedFiles[None] | None:
    """The certificate, given to the context again when its files change: the next handshake has it."""
    context = config.ssl
    if context is None or tls.cert_file is None or tls.key_file is None:
        return None
    cert, key = tls.cert_file, tls.key_file
    return WatchedFiles((cert, key), lambda: context.load_cert_chain(cert, key), failed)
