"""TLS and mTLS from files, read again at the next handshake after they change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc

from rejoinder.core.errors import BadSettings
from rejoinder.runtime.files import WatchedFiles
from rejoinder.runtime.settings import TlsSettings


def server_credentials(settings: TlsSettings, failed: Callable[[Exception], None]) -> grpc.ServerCredentials | None:
    """Credentials of a server, None for clear text. Raises BadSettings for half a pair or an unreadable file."""
    cert, key, roots = settings.cert_file, settings.key_file, settings.client_ca_file
    if cert is None and key is None and roots is None:
        return None
    if cert is None or key is None:
        raise BadSettings("server.tls needs both cert_file and key_file")
    paths = (cert, key) if roots is None else (cert, key, roots)

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(_read(key), _read(cert))], None if roots is None else _read(roots)
        )

    changes = _Changes(WatchedFiles(paths, read, failed))
    return grpc.dynamic_ssl_server_credentials(
        changes.last, changes.next, require_client_authentication=roots is not None
    )


class _Changes:
    """What gRPC asks at each handshake: a new configuration, or None for the one it has. owns: the last handed out."""

    def __init__(self, watched: WatchedFiles[grpc.ServerCertificateConfiguration]) -> None:
        self._watched = watched
        self.last = watched.get()

    def next(self) -> grpc.ServerCertificateConfiguration | None:
        now = self._watched.get()
        if now is self.last:
            return None
        self.last = now
        return now


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"{path} cannot be read ({type(error).__name__})") from None
