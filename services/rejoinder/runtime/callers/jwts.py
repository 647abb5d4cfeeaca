"""Bearer tokens that an issuer has signed (JWT, RFC 7519; what RFC 8725 advises): is this one its, for us, and now?

The signature is PyJWT's to verify. Header and claims are read here, strictly: no name stands twice, the key is found by
its name in the issuer's own set, an algorithm fits its key, and nothing in a token says where a key is to be had.
A refusal tells what is wrong and nothing of the token.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from rejoinder.core.clock import Clock
from rejoinder.core.errors import InvalidArgument, Loading, Unauthenticated
from rejoinder.core.ids import check_name
from rejoinder.runtime.call import ROLES, Principal
from rejoinder.runtime.callers.jwks import Keys, KeySource, object_of
from rejoinder.runtime.settings import JwtSettings

#: Bytes of a token: gRPC takes no more metadata than that.
MOST_BYTES = 8 * 1024
#: Tokens that are known to be good, in memory until they expire: a digest and a principal each.
_MOST_KNOWN = 4096
_FORM = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]*)")
#: `typ` of a token for callers. Others (of a logout, of a proof) may be signed with the same key.
_TYPES = frozenset({"jwt", "at+jwt"})
#: No time of a token is later, in seconds since the epoch: a larger number is none, or milliseconds.
_LATEST = 1e11


@dataclass(frozen=True)
class Claimed:
    """What a good token says. caller: None where it names none of our roles. until: seconds since the epoch."""

    subject: str
    caller: Principal | None
    until: float


class Verifier:
    """owns: the tokens found good with the present keys; lives on one event loop."""

    def __init__(self, settings: JwtSettings, keys: KeySource, clock: Clock) -> None:
        self._settings = settings
        self._source = keys
        self._clock = clock
        self._algorithms = {name: jwt.get_algorithm_by_name(name) for name in settings.algorithms}
        self._keys: Keys | None = None
        self._known: dict[bytes, Claimed] = {}

    def verify(self, token: str) -> Claimed:
        """Raises Unauthenticated, or Loading where its key may be among those that are just being read."""
        if len(token) > MOST_BYTES:
            raise Unauthenticated("the token is too long")
        keys = self._source.get()
        if keys is not self._keys:
            # A key may have been taken back.
            self._known.clear()
            self._keys = keys
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        claimed = self._known.get(digest)
        if claimed is None:
            claimed = self._verified(token, keys)
            if len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[digest] = claimed
        elif claimed.until <= self._clock.now():
            del self._known[digest]
            raise Unauthenticated("the token has expired")
        return claimed

    def close(self) -> None:
        self._source.close()

    def _verified(self, token: str, keys: Keys) -> Claimed:
        form = _FORM.fullmatch(token)
        if form is None:
            raise Unauthenticated("the token is no JWT")
        header = _read(form[1], "header")
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Unauthenticated("the token's algorithm is not taken")
        _check_header(header)
        kid = header.get("kid")
        key = keys.find(kid, algorithm) if kid is None or isinstance(kid, str) else None
        if key is None:
            if self._source.missing():
                raise Loading("the keys of the tokens' issuer are being read again", retry_after_s=1.0)
            raise Unauthenticated("the token's key is not one of its issuer's")
        signed = token[: form.end(2)].encode("ascii")
        if not self._algorithms[algorithm].verify(signed, key.public, _decoded(form[3], "signature")):
            raise Unauthenticated("the token's signature is wrong")
        return self._claimed(_read(form[2], "claims"))

    def _claimed(self, claims: Mapping[str, Any]) -> Claimed:
        settings, now = self._settings, self._clock.now()
        if claims.get("iss") != settings.issuer:
            raise Unauthenticated("the token is of another issuer")
        audience = claims.get("aud")
        if settings.audience not in ([audience] if isinstance(audience, str) else _texts(audience, "aud")):
            raise Unauthenticated("the token is for another audience")
        if "exp" not in claims:
            raise Unauthenticated("the token has no time of expiry")
        until = _time(claims, "exp", now) + settings.leeway_s
        if until <= now:
            raise Unauthenticated("the token has expired")
        if max(_time(claims, "nbf", now), _time(claims, "iat", now)) > now + settings.leeway_s:
            raise Unauthenticated("the token is not valid yet")
        subject = _claim(claims, settings.principal_claim)
        if not isinstance(subject, str) or not subject:
            raise Unauthenticated("the token names no principal")
        try:
            check_name("principal", subject)
        except InvalidArgument:
            raise Unauthenticated("the token's principal is no name") from None
        return Claimed(subject, self._caller(claims, subject), until)

    def _caller(self, claims: Mapping[str, Any], subject: str) -> Principal | None:
        roles = ROLES & set(_names(_claim(claims, self._settings.roles_claim), "roles"))
        if not roles:
            return None
        said = _claim(claims, self._settings.tenants_claim)
        tenants = frozenset(_names(said, "tenants")) if said is not None else frozenset({"default"})
        if not tenants:
            raise Unauthenticated("the token names no tenant")
        return Principal(subject, roles, None if "*" in tenants else tenants, self._settings.issuer)


def _check_header(header: Mapping[str, Any]) -> None:
    # Extensions that must be understood; we understand none. `b64` changes what is signed.
    if "crit" in header or "b64" in header:
        raise Unauthenticated("the token has a critical header")
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise Unauthenticated("the token is of another kind")


def _decoded(part: str, what: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise Unauthenticated(f"the token's {what} cannot be read") from None


def _read(part: str, what: str) -> dict[str, Any]:
    try:
        return object_of(_decoded(part, what))
    except ValueError:
        raise Unauthenticated(f"the token's {what} cannot be read") from None


def _time(claims: Mapping[str, Any], name: str, absent: float) -> float:
    """Seconds since the epoch."""
    said = claims.get(name, absent)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= _LATEST:
        raise Unauthenticated(f"the token's {name} is no time")
    return float(said)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or else by a path of names with dots between; None where there is none."""
    if name in claims:
        return claims[name]
    here: Any = claims
    for part in name.split("."):
        here = here.get(part) if isinstance(here, Mapping) else None
    return here


def _names(said: Any, what: str) -> list[str]:
    """A list of names, or text with spaces between them."""
    return said.split() if isinstance(said, str) else _texts(() if said is None else said, what)


def _texts(said: Any, what: str) -> list[str]:
    if not isinstance(said, list | tuple) or not all(isinstance(each, str) and each for each in said):
        raise Unauthenticated(f"the token's {what} cannot be read")
    return list(said)
