"""Where a service is, with what credentials it is called, and how patient the caller is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc


@dataclass(frozen=True)
class Tls:
    """PEM files. ca_file: roots the server is checked against, None = the system's. cert_file, key_file: mTLS.

    server_name: the name on the server's certificate, where it is not the target's.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        parts = [None if f is None else f.read_bytes() for f in (self.ca_file, self.key_file, self.cert_file)]
        return grpc.ssl_channel_credentials(*parts)


@dataclass(frozen=True)
class Connection:
    """target: `host:port`, or `dns:///headless.service:port` to spread calls over its replicas.

    token: bearer token, or a function that returns the present one (a file that rotates).
    deadline_s: seconds a call may take with all its tries, unless the call says otherwise.
    tries: at most so many, first included. backoff_s: mean first pause; doubles, at most max_backoff_s, full jitter;
    a server's RetryInfo is the least pause. traceparent: the W3C trace context of the caller, asked at each call.
    """

    target: str
    tls: Tls | None = None
    token: str | Callable[[], str] = ""
    deadline_s: float = 10.0
    tries: int = 8
    backoff_s: float = 0.1
    max_backoff_s: float = 2.0
    traceparent: Callable[[], str] | None = None

    def options(self) -> list[tuple[str, str | int]]:
        """Channel arguments: our own retries instead of gRPC's, and a quick return after a server's restart."""
        out: list[tuple[str, str | int]] = [
            ("grpc.enable_retries", 0),
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        ]
        if self.tls is not None and self.tls.server_name:
            out.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return out

    def metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.token() if callable(self.token) else self.token
        trace = self.traceparent() if self.traceparent is not None else ""
        pairs = (("authorization", f"Bearer {token}" if token else ""), ("traceparent", trace))
        return tuple(pair for pair in pairs if pair[1])
