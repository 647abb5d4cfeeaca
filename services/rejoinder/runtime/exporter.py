"""Prometheus metrics over HTTP, from their own thread: they are the last to go at a drain."""

from __future__ import annotations

from prometheus_client import start_http_server

from rejoinder.core.errors import PortBusy
from rejoinder.core.metrics import Metrics


class Exporter:
    """owns: the HTTP server and its thread."""

    def __init__(self, host: str, port: int, metrics: Metrics) -> None:
        try:
            self._server, self._thread = start_http_server(port, addr=host, registry=metrics.registry)
        except OSError:
            raise busy(host, port, "server.metrics_port") from None
        self.port: int = self._server.server_address[1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def busy(host: str, port: int, setting: str) -> PortBusy:
    """The error of a port that cannot be had, for a person to read."""
    return PortBusy(
        f"cannot listen on {host}:{port}: the port is taken, or may not be used here; "
        f"end the other process or set {setting}",
        port=port,
    )
