"""How a process of ours calls another: token and certificates, all from files that are read again when they change."""

from __future__ import annotations

from pathlib import Path

from rejoinder.clients.connection import Tls
from rejoinder.core.errors import BadSettings
from rejoinder.runtime.settings import Theme


class CallerTheme(Theme):
    token_file: Path | None = None
    """Bearer token of role internal; unset: none."""
    ca_file: Path | None = None
    """PEM roots of the other's certificate; unset, without cert_file too: clear text."""
    cert_file: Path | None = None
    """PEM chain of this process, where the other asks for one (mTLS)."""
    key_file: Path | None = None
    """PEM key of cert_file."""

    @property
    def tls(self) -> Tls | None:
        """None: clear text. Raises BadSettings for half a pair: who must be known may not call without a name."""
        if (self.cert_file is None) != (self.key_file is None):
            raise BadSettings("cert_file and key_file of a caller belong together")
        if self.ca_file is None and self.cert_file is None:
            return None
        return Tls(self.ca_file, self.cert_file, self.key_file)
