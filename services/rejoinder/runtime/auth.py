"""Who calls: bearer tokens and certificate names, from a file that is read again when it changes.

A YAML list; a principal names one of `token`, `sha256` (hex digest of a token) or `peer` (a DNS name, URI or common
name of its client certificate, checked by mTLS):

    - {principal: chat-app, sha256: 9f86d0…, roles: [app], tenants: [acme]}
    - {principal: gateway, peer: gateway.rejoinder.svc, roles: [app, internal]}

`tenants` left out means the tenant "default"; `["*"]` means every one.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rejoinder.core import yamlfile
from rejoinder.core.errors import BadSettings, RoleMissing, Unauthenticated
from rejoinder.runtime.call import LOCAL, ROLES, Principal
from rejoinder.runtime.files import WatchedFiles
from rejoinder.runtime.roles import ROLES_OF
from rejoinder.runtime.settings import AuthSettings

#: By what a caller is known: one of them.
_WAYS = ("token", "sha256", "peer")
_KEYS = {"principal", *_WAYS, "roles", "tenants"}


class Open:
    """Everyone is `local` with every role: loopback without a file, or a network that is trusted as a whole."""

    def authenticate(self, metadata: Iterable[tuple[str, Any]], peers: Iterable[str]) -> Principal:
        return LOCAL


class Listed:
    """Callers of a file. owns: the file's last good content."""

    def __init__(self, file: Path, failed: Callable[[Exception], None]) -> None:
        self._known = WatchedFiles((file,), lambda: read_principals(file), failed)

    def authenticate(self, metadata: Iterable[tuple[str, Any]], peers: Iterable[str]) -> Principal:
        """The caller. Raises Unauthenticated; a wrong token is an error even where the certificate would do."""
        known = self._known.get()
        for key, value in metadata:
            if key == "authorization":
                kind, _, token = str(value).partition(" ")
                found = known.get(f"token:{_sha256(token)}") if kind.lower() == "bearer" else None
                if found is None:
                    raise Unauthenticated("the bearer token is not known")
                return found
        for peer in peers:
            if f"peer:{peer}" in known:
                return known[f"peer:{peer}"]
        raise Unauthenticated("no credentials")


def authenticator(settings: AuthSettings, host: str, failed: Callable[[Exception], None]) -> Open | Listed:
    """What the settings ask for. Raises BadSettings for a server beyond loopback that would trust everyone unsaid."""
    if settings.file is not None:
        return Listed(settings.file, failed)
    if settings.open or _is_loopback(host):
        return Open()
    raise BadSettings("server.host is beyond loopback: set server.auth.file, or server.auth.open if all are trusted")


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
        raise BadSettings(f"principal {number} must have one of token, sha256, peer, and roles of {sorted(ROLES)}")
    tenants = frozenset(entry.get("tenants") or ("default",))
    caller = Principal(entry["principal"], roles, None if "*" in tenants else tenants)
    if given == ["peer"]:
        return f"peer:{entry['peer']}", caller
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
