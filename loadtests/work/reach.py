"""Where the services are, and channels to them that never try twice: a retry would hide what the service did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rejoinder.clients.channel import AsyncChannel
from rejoinder.clients.connection import Connection, token_in


@dataclass(frozen=True)
class Reach:
    """targets: service → `host:port`. token_file: bearer token for all of them."""

    targets: Mapping[str, str]
    token_file: Path | None = None

    def channel(self, service: str) -> AsyncChannel:
        """Raises KeyError for a service without an address."""
        return AsyncChannel(Connection(self.targets[service], token=token_in(self.token_file), tries=1))
