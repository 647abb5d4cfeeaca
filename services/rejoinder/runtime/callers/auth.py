"""Who calls: bearer tokens and certificate names, from a file that is read again when it changes; and tokens that an
issuer has signed (jwts.py).

The file is a YAML list; a principal names one of `token`, `sha256` (hex digest of a token), `peer` (a DNS name, URI or
common name of its client certificate, checked by mTLS) or `subject` (whom an issuer's token names):

    - {principal: chat-app, sha256: 9f86d0…, roles: [app], tenants: [acme]}
    - {principal: gateway, peer: gateway.rejoinder.svc, roles: [app, internal]}
    - {principal: batch, subject: "system:serviceaccount:batch:nightly", roles: [app]}

`tenants` left out means the tenant "default"; `["*"]` means every one. A subject that stands here has the roles and
tenants that stand here; any other those of its token.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rejoinder.core import yamlfile
from rejoinder.core.clock import Clock, SystemClock
from rejoinder.core.errors import BadSettings, RoleMissing, Unauthenticated
from rejoinder.runtime.call import LOCAL, ROLES, Principal
from rejoinder.runtime.callers.roles import ROLES_OF
from rejoinder.runtime.files import WatchedFiles
from rejoinder.runtime.settings import AuthSettings

if TYPE_CHECKING:
    from rejoinder.runtime.callers.jwts import Verifier

#: By what a caller is known: one of them.
_WAYS = ("token", "sha256", "peer", "subject")
_KEYS = {"principal", *_WAYS, "roles", "tenants"}


class Open:
    """Everyone is `local` with every role: loopback without a file, or a network that is trusted as a whole."""

    def authenticate(self, metadata: Iterable[tuple[str, Any]], peers: Iterable[str]) -> Principal:
        return LOCAL

    def close(self) -> None:
        return None


class Listed:
    """Callers of a file, and of an issuer's tokens. owns: the file's last good content, and the verifier."""

    def __init__(self, file: Path | None, failed: Callable[[Exception], None], tokens: Verifier | None = None) -> None:
        watched = None if file is None else WatchedFiles((file,), lambda: read_principals(file), failed)
        self._known: Callable[[], Mapping[str, Principal]] = dict if watched is None else watched.get
        self._tokens = tokens

    def authenticate(self, metadata: Iterable[tuple[str, Any]], peers: Iterable[str]) -> Principal:
        """The caller. Raises Unauthenticated; a wrong token is an error even where the certificate would do. Raises
        Loading where a token's key may be among those that are being read."""
        known = self._known()
        shown = None
        for key, value in metadata:
            if key == "authorization":
                if shown is not None:
                    raise Unauthenticated("more than one authorization header")
                shown = str(value)
        if shown is not None:
            kind, _, token = shown.partition(" ")
            found = self._of_token(token, known) if kind.lower() == "bearer" else None
            if found is None:
                raise Unauthenticated("the bearer token is not known")
            return found
        for peer in peers:
            if f"peer:{peer}" in known:
                return known[f"peer:{peer}"]
        raise Unauthenticated("no credentials")

    def close(self) -> None:
        if self._tokens is not None:
            self._tokens.close()

    def _of_token(self, token: str, known: Mapping[str, Principal]) -> Principal | None:
        if self._tokens is None or token.count(".") != 2:
            return known.get(f"token:{_sha256(token)}")
        claimed = self._tokens.verify(token)
        caller = known.get(f"subject:{claimed.subject}", claimed.caller)
        if caller is None:
            raise Unauthenticated("the token names none of our roles")
        return caller


def authenticator(
    settings: AuthSettings, host: str, failed: Callable[[Exception], None], clock: Clock | None = None
) -> Open | Listed:
    """What the settings ask for; reads an issuer's keys once, which takes up to `jwt.timeout_s`. To be closed.

    Raises BadSettings for a server beyond loopback that would trust everyone unsaid, and what source_of raises.
    """
    if settings.jwt.issuer:
        return Listed(settings.file, failed, _verifier(settings, failed, clock or SystemClock()))
    if settings.file is not None:
        return Listed(settings.file, failed)
    if settings.open or _is_loopback(host):
        return Open()
    raise BadSettings(
        "server.host is beyond loopback: set server.auth.file or jwt, or server.auth.open if all are trusted"
    )


def _verifier(settings: AuthSettings, failed: Callable[[Exception], None], clock: Clock) -> Verifier:
    # Who has no issuer does not wait for the library.
    from rejoinder.runtime.callers.jwks import source_of
    from rejoinder.runtime.callers.jwts import Verifier

    return Verifier(settings.jwt, source_of(settings.jwt, failed, clock), clock)


def check_role(caller: Principal, method: str) -> None:
    """Raises RoleMissing unless one of the caller's roles may call the method."""
    allowed = ROLES_OF.get(method, frozenset())
    if not caller.roles & allowed:
        raise RoleMissing("the caller has none of the roles of this method", needs=",".join(sorted(allowed)))


def check_tenants(caller: Principal, request: Any) -> None:
    """Raises ForeignTenant when the request, or an event in it, names a tenant that the caller may not."""
    if caller.tenants is None:
        return
    fields = request.DESCRIPTOR.fields_by_name
    if "tenant" in fields:
        caller.check_tenant(request.tenant)
    if "events" in fields and "tenant" in fields["events"].message_type.fields_by_name:
        for tenant in {event.tenant for event in request.events}:
            caller.check_tenant(tenant)


def read_principals(file: Path) -> dict[str, Principal]:
    """`token:<sha256>` or `peer:<name>` → principal. Raises BadFile, BadSettings naming the entry, never the token."""
    entries = yamlfile.read(file)
    if not isinstance(entries, list) or not entries:
        raise BadSettings(f"{file} holds no list of principals")
    return dict(_entry(number, entry) for number, entry in enumerate(entries, 1))


def _entry(number: int, entry: Any) -> tuple[str, Principal]:
    if not isinstance(entry, Mapping) or set(entry) - _KEYS or not entry.get("principal"):
        raise BadSettings(f"principal {number} must have a name and no keys but {', '.join(sorted(_KEYS))}")
    for key in ("principal", *_WAYS):
        # A token of digits is a number to YAML, and one that begins with a nought another number.
        if not isinstance(entry.get(key) or "", str):
            raise BadSettings(f"principal {number}: {key} must be text: write it in quotes")
    for key in ("roles", "tenants"):
        listed = entry.get(key) or ()
        if not isinstance(listed, (list, tuple)) or not all(isinstance(each, str) and each for each in listed):
            raise BadSettings(f"principal {number}: {key} must be a list of names")
    given = [key for key in _WAYS if entry.get(key)]
    roles = frozenset(entry.get("roles") or ())
    if len(given) != 1 or not roles or roles - ROLES:
        raise BadSettings(f"principal {number} must have one of {', '.join(_WAYS)}, and roles of {sorted(ROLES)}")
    tenants = frozenset(entry.get("tenants") or ("default",))
    caller = Principal(entry["principal"], roles, None if "*" in tenants else tenants)
    if given[0] in ("peer", "subject"):
        return f"{given[0]}:{entry[given[0]]}", caller
    return f"token:{entry['sha256'].lower() if given == ['sha256'] else _sha256(entry['token'])}", caller


def _sha256(token: str) -> str:
    # The digest is the key of a dictionary: what a lookup's time tells is about the digest, not the token.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
