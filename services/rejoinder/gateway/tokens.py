"""Feedback tokens: a page may rate only what it was shown, without an account and without a look-up.

`v1.<payload>.<mac>`: the payload names tenant, user, conversation, interaction, attempts and the end of its life, as
JSON in base64url; the mac is HMAC-SHA256 of it. Every answer brings one; a page sends those of the answers it is about.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rejoinder.core.clock import Clock
from rejoinder.core.keyfile import read_key
from rejoinder.gateway.errors import BadToken, TokenExpired
from rejoinder.runtime.files import WatchedFiles

_VERSION = "v1"
#: Characters of the longest token that we would make: names of 256 characters, and the attempts of 64 choices.
MAX_CHARS = 8192


@dataclass(frozen=True)
class Shown:
    """What a page was shown. expires: seconds since the epoch."""

    tenant: str
    user_id: str
    conversation_id: str
    interaction_id: str
    attempts: tuple[str, ...]
    expires: float


class Tokens:
    """Signs and reads. owns: the last good keys, the first of which signs."""

    def __init__(
        self,
        key_file: Path,
        old_key_file: Path | None,
        life_s: float,
        clock: Clock,
        failed: Callable[[Exception], None],
    ) -> None:
        paths = (key_file,) if old_key_file is None else (key_file, old_key_file)
        self._keys = WatchedFiles(paths, lambda: [read_key(path, "browser.key_file") for path in paths], failed)
        self._life_s = life_s
        self._clock = clock

    def of(
        self, tenant: str, user_id: str, conversation_id: str, interaction_id: str, attempts: tuple[str, ...]
    ) -> tuple[str, int]:
        """The token of an answer, and the second since the epoch at which it ends."""
        expires = int(self._clock.now() + self._life_s)
        names = [tenant, user_id, conversation_id, interaction_id, list(attempts), expires]
        payload = _coded(json.dumps(names, separators=(",", ":")).encode())
        return f"{_VERSION}.{payload}.{_coded(_mac(self._keys.get()[0], payload))}", expires

    def read(self, token: str) -> Shown:
        """What a token says. Raises BadToken, TokenExpired."""
        version, _, rest = token.partition(".") if len(token) <= MAX_CHARS else ("", "", "")
        payload, _, mac = rest.partition(".")
        given = _plain(mac)
        if version != _VERSION or not any(hmac.compare_digest(_mac(key, payload), given) for key in self._keys.get()):
            raise BadToken("the feedback token is not one of ours")
        tenant, user_id, conversation_id, interaction_id, attempts, expires = json.loads(_plain(payload))
        if self._clock.now() >= expires:
            raise TokenExpired("the feedback token has expired")
        return Shown(tenant, user_id, conversation_id, interaction_id, tuple(attempts), expires)


def _mac(key: bytes, payload: str) -> bytes:
    # What is signed begins with what it is for: the key signs nothing else by accident.
    return hmac.new(
        key, f"rejoinder feedback {_VERSION} {payload}".encode("utf-8", "surrogatepass"), hashlib.sha256
    ).digest()


def _coded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _plain(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return b""
