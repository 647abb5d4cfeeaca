"""Where a service is, with what credentials it is called, and how patient the caller is."""

from __future__ import annotations

import json
import ssl
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

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Another value once a file is another: secrets that rotate are put in place of those before."""
        return tuple(_stamp(file) for file in (self.ca_file, self.cert_file, self.key_file) if file is not None)

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises OSError for a file that is away, holds no certificate, or a certificate that is not its key's."""
        # gRPC takes whatever it is given and fails at each handshake.
        checked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_file is not None:
            checked.load_verify_locations(self.ca_file)
        if self.cert_file is not None:
            # A password, or OpenSSL would ask a terminal for that of an encrypted key.
            checked.load_cert_chain(self.cert_file, self.key_file, password="")
        parts = [None if f is None else f.read_bytes() for f in (self.ca_file, self.key_file, self.cert_file)]
        return grpc.ssl_channel_credentials(*parts)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_ino)


def token_in(file: Path | None) -> str | Path:
    """A connection's token that stands in a file; "" without one."""
    return "" if file is None else file


#: Each replica's health is watched, and who is not serving is not called.
_WATCHING = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})


@dataclass(frozen=True)
class Connection:
    """target: `host:port`, or `dns:///headless.service:port` to spread calls over its replicas. A target with a scheme
    says that each address is one replica: one that says it is not serving gets no calls, before it is gone. Behind a
    proxy an address is all of them; name it without.

    token: bearer token; or the file it stands in, read at each try (a projected service account token rotates); or a
    function that returns the present one.
    deadline_s: seconds a call may take with all its tries, unless the call says otherwise.
    tries: at most so many, first included. backoff_s: mean first pause; doubles, at most max_backoff_s, full jitter;
    a server's RetryInfo is the least pause. traceparent: the W3C trace context of the caller, asked at each call.
    """

    target: str
    tls: Tls | None = None
    token: str | Path | Callable[[], str] = ""
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
            # What one attempt to connect is given: a server that stands still for a second or two is not away, and
            # calls that may not be repeated would fail with it.
            ("grpc.min_reconnect_backoff_ms", 3000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # By default names are asked for again after 30 s: longer than a restart of all replicas takes.
            ("grpc.dns_min_time_between_resolutions_ms", 2000),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        ]
        if "://" in self.target or self.target.startswith(("ipv4:", "ipv6:")):
            out.append(("grpc.service_config", _WATCHING))
        if self.tls is not None and self.tls.server_name:
            out.append(("grpc.ssl_target_name_override", self.tls.server_name))
        return out

    def metadata(self) -> tuple[tuple[str, str], ...]:
        token = self.token
        if isinstance(token, Path):
            token = token.read_text("utf-8").strip()
        elif callable(token):
            token = token()
        trace = self.traceparent() if self.traceparent is not None else ""
        pairs = (("authorization", f"Bearer {token}" if token else ""), ("traceparent", trace))
        return tuple(pair for pair in pairs if pair[1])
