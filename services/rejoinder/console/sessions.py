"""Who is signed in. A cookie holds a random name; the token behind it stays here, in memory.

Where nobody signs in, a cookie's name is all there is: forms are still bound to it, so that no other page can send one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie

from rejoinder.core.clock import Clock

#: Of a session; with the prefix a browser takes it over TLS alone, and from nobody's sub-domain.
COOKIE, SECURE_COOKIE = "rejoinder_console", "__Host-rejoinder_console"
TENANT_COOKIE = "rejoinder_tenant"
_NAME_BYTES = 32


@dataclass(frozen=True)
class Session:
    """token: the bearer token that signed in. began, used: readings of the monotonic clock."""

    token: str
    began: float
    used: float


class Sessions:
    """owns: the sessions, and the key of the forms' tokens. idle_s, life_s, most: as in the settings."""

    def __init__(self, idle_s: float, life_s: float, most: int, clock: Clock) -> None:
        self._idle_s = idle_s
        self._life_s = life_s
        self._most = most
        self._clock = clock
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def begin(self, token: str) -> str:
        """The name of a new session: never one that a visitor brought along."""
        now, name = self._clock.monotonic(), new_name()
        while len(self._sessions) >= self._most:
            self._sessions.popitem(last=False)
        self._sessions[_digest(name)] = Session(token, now, now)
        return name

    def token(self, name: str, used: bool = True) -> str | None:
        """The token behind a name; None where there is no such session, or no more. used: somebody is there; a page
        that loads itself anew keeps nobody signed in."""
        known, now = self._sessions.get(_digest(name)), self._clock.monotonic()
        if known is None:
            return None
        if now - known.used > self._idle_s or now - known.began > self._life_s:
            self.end(name)
            return None
        if used:
            self._sessions[_digest(name)] = replace(known, used=now)
            self._sessions.move_to_end(_digest(name))
        return known.token

    def end(self, name: str) -> None:
        self._sessions.pop(_digest(name), None)

    def form_token(self, name: str) -> str:
        """What each form of this session carries."""
        return hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, name: str, given: str) -> bool:
        return bool(name) and hmac.compare_digest(self.form_token(name).encode(), given.encode())


def new_name() -> str:
    return secrets.token_urlsafe(_NAME_BYTES)


def cookie_in(header: str, name: str) -> str:
    """The value of a cookie; "" where the header has none, or is none."""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _digest(name: str) -> str:
    # A lookup's time tells about the digest, not about the name.
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
