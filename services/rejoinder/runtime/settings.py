"""Settings of a process: a frozen tree of themes, from a YAML file, then from the environment; the later wins.

`REJOINDER_FEEDBACK__SERVER__PORT=50051` sets `server.port` of the feedback service. A name that no field has is an
error that names it and the nearest known one, in either source: a misspelt key must not start with a default.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rejoinder.core import yamlfile
from rejoinder.core.errors import BadFile, BadSettings

#: Names that may stand between `REJOINDER_` and the first `__`.
SERVICES = (
    "gateway",
    "console",
    "policy",
    "reward",
    "rerank",
    "feedback",
    "signals",
    "ledger",
    "rollouts",
    "observe",
    "operator",
    "rounds",
)

#: What Kubernetes puts into every pod for a Service called `rejoinder-feedback`; no setting of ours.
_KUBERNETES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)?)$")


class Theme(BaseModel):
    """A group of settings: closed, frozen; the sentence under each field is its description in the JSON schema."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TlsSettings(Theme):
    cert_file: Path | None = None
    """PEM chain of this server; unset serves in clear text (loopback, or a mesh that encrypts)."""
    key_file: Path | None = None
    """PEM key of cert_file; files are read again when they change, at the next handshake."""
    client_ca_file: Path | None = None
    """PEM roots of the clients' certificates; set asks every client for one (mTLS)."""


#: What may be asked of a signature. The symmetric ones, whose key an issuer's public one could be taken for, are none.
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class JwtSettings(Theme):
    """Bearer tokens that an issuer signs. issuer, audience and jwks together switch them on."""

    issuer: str = ""
    """`iss` of its tokens, letter for letter."""
    audience: str = ""
    """What `aud` of a token must hold: the name by which the issuer knows this deployment, and no other."""
    jwks: str = ""
    """The issuer's public keys: a file, read again when it changes, or a URL, fetched beside the calls (http only where
    the way there is trusted). The last good ones stay while it is away; a process that never read any does not start.
    """
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    """Signatures that are taken; a symmetric one, or none, can never be."""
    leeway_s: float = Field(default=30.0, ge=0, le=300)
    """Seconds by which the issuer's clock may differ from ours."""
    principal_claim: str = Field(default="sub", min_length=1)
    """Claim that names the principal. A claim inside others is written with dots: `realm_access.roles`."""
    roles_claim: str = Field(default="roles", min_length=1)
    """Claim with the roles: a list, or text with spaces. Others than our four are passed over; none left is refused."""
    tenants_claim: str = Field(default="tenants", min_length=1)
    """Claim with the tenants, written likewise; absent means the tenant "default", "*" every one."""
    refresh_s: float = Field(default=300.0, ge=1)
    """Seconds from one fetch of the URL to the next: for so long a key that was taken back may still be taken."""
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    """Seconds that a fetch may take."""
    ca_file: Path | None = None
    """PEM roots that the URL's server is checked against; unset = the system's."""
    token_file: Path | None = None
    """Bearer token shown to the URL's server, read at each fetch: a cluster's API server asks for one."""

    @property
    def is_url(self) -> bool:
        return self.jwks.startswith(("https://", "http://"))

    @model_validator(mode="after")
    def _whole(self) -> JwtSettings:
        if len({bool(said) for said in (self.issuer, self.audience, self.jwks)}) > 1:
            raise ValueError("issuer, audience and jwks are set together")
        return self


class AuthSettings(Theme):
    file: Path | None = None
    """YAML list of principals (see runtime/callers/auth.py), read again when changed; with neither it nor jwt nobody is
    asked, on loopback only."""
    jwt: JwtSettings = JwtSettings()
    """Callers that show a token of an issuer. Works beside `file`: a token of three parts is a JWT, else the file's."""
    open: bool = False
    """True gives every caller every role beyond loopback too: for a network in which all are trusted."""


class RateSettings(Theme):
    """Calls of each caller, of this process alone: N replicas let N times as many pass, and a restart begins anew. A
    refused one is told when to come again. Health and reflection are never limited."""

    principal_per_s: float | None = Field(default=None, gt=0)
    """Calls a second of each caller that showed credentials (name and issuer), in the long run; unset, any number."""
    address_per_s: float | None = Field(default=None, gt=0)
    """Calls a second of each address (IPv6: each /64) whose caller showed none: everybody at an open server, our own
    processes too, and pages at gateway and console. Behind a proxy all have one; unset, any number."""
    burst_s: float = Field(default=10.0, gt=0)
    """Seconds' worth that may come at once after a pause."""
    exempt_roles: tuple[Literal["app", "internal", "admin", "auditor"], ...] = ("internal",)
    """Whoever showed one of these roles is not limited: our own processes speak for everybody's calls."""
    most_names: int = Field(default=100_000, ge=1)
    """Callers, and as many addresses, that are remembered, some 300 bytes each; the longest silent go first and begin
    with a full bucket."""


class ServerSettings(Theme):
    host: str = "127.0.0.1"
    """Address to listen on; the default keeps a laptop's services off the network."""
    port: int = Field(default=0, ge=0, le=65535)
    """gRPC port; 0 takes a free one and says which in the ready file and the log."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """Prometheus port on the same host; 0 takes a free one, unset opens none."""
    grace_s: float = Field(default=20.0, ge=0)
    """Seconds that running calls get after SIGTERM; must be below the pod's terminationGracePeriodSeconds (30)."""
    leave_s: float = Field(default=2.0, ge=0)
    """Seconds that callers get to leave after SIGTERM, while calls are still taken: those that watch health go at once,
    and nobody's call is lost between their last send and our refusal. A server that nobody calls waits for nobody."""
    max_message_bytes: int = Field(default=16 * 1024 * 1024, ge=1024)
    """A larger request is refused as TOO_LONG; bounds the memory of one call."""
    max_in_flight: int = Field(default=256, ge=1)
    """Calls at work at once; the next is refused with QUEUE_FULL, so that waiting is the callers' and bounded."""
    retry_after_s: float = Field(default=0.2, gt=0)
    """Delay that a refused caller is told to wait, in seconds."""
    max_call_s: float = Field(default=300.0, gt=0)
    """Longest a call may run whatever its own deadline, in seconds: a caller that never reads frees its slot."""
    max_connection_age_s: float = Field(default=0.0, ge=0)
    """Connections are closed after this many seconds (gRPC adds ±10 %), so that new replicas get load; 0 = never."""
    ready_file: Path | None = None
    """Written when SERVING, removed at drain: {"service", "pid", "port", "metrics_port"} as JSON."""
    library_text: bool = False
    """True prints messages of libraries as they are. They may quote a request: for a machine without users' data."""
    tls: TlsSettings = TlsSettings()
    auth: AuthSettings = AuthSettings()
    rate: RateSettings = RateSettings()


T = TypeVar("T", bound=Theme)


def load(cls: type[T], service: str, file: Path | None = None, env: Mapping[str, str] = os.environ) -> T:
    """The settings of a service. Raises BadSettings for an unknown or impossible one, BadFile for a bad file."""
    values = _from_file(cls, file) if file is not None else {}
    for name, path, text in _from_env(service, env):
        _check_path(cls, path, f"environment variable {name}")
        _put(values, path, _plain(text, name))
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        # Names, not values: a value may be a secret.
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise BadSettings(f"settings of {service}: {faults}", service=service) from None


def _from_file(cls: type[Theme], file: Path) -> dict[str, Any]:
    values = yamlfile.read(file)
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise BadFile(f"{file} holds no mapping", file=file)
    for path in _leaves(values, ()):
        _check_path(cls, path, f"key {'.'.join(path)} of {file}")
    return values


def _plain(text: str, name: str) -> Any:
    """A variable's value: lists and mappings are written as YAML, anything else is text."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return yamlfile.parse(text, f"environment variable {name}")
    except BadFile as error:
        raise BadSettings(error.message) from None


def _leaves(values: Mapping[Any, Any], above: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    for key, value in values.items():
        here = (*above, str(key))
        yield here
        if isinstance(value, Mapping):
            yield from _leaves(value, here)


def _from_env(service: str, env: Mapping[str, str]) -> Iterable[tuple[str, tuple[str, ...], str]]:
    """(name, path, value) of this service's variables. Raises BadSettings for a name that belongs to no service."""
    for name in sorted(env):
        if not name.startswith("REJOINDER_"):
            continue
        head, divided, rest = name.removeprefix("REJOINDER_").partition("__")
        if divided and head.lower() not in SERVICES:
            raise BadSettings(
                f"environment variable {name}: no service is called {head.lower()}{_near(head, SERVICES)}"
            )
        if divided and head.lower() == service:
            yield name, tuple(part.lower() for part in rest.split("__")), env[name]
        elif not divided and head.startswith(f"{service.upper()}_") and not _KUBERNETES.search(name):
            raise BadSettings(f"environment variable {name}: themes are divided by two underscores")


def _check_path(cls: type[Theme], path: tuple[str, ...], what: str) -> None:
    here: Any = cls
    for part in path:
        if not (isinstance(here, type) and issubclass(here, Theme)):
            return
        fields = here.model_fields
        if part not in fields:
            raise BadSettings(f"{what}: unknown setting {part}{_near(part, fields)}", setting=".".join(path))
        here = fields[part].annotation


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    found = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"; nearest known: {found[0]}" if found else f"; known: {', '.join(names)}"


def _put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        inner = values.get(part)
        values[part] = dict(inner) if isinstance(inner, Mapping) else {}
        values = values[part]
    values[path[-1]] = value
