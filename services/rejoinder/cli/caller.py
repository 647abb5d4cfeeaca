"""As whom a command calls a service that asks: token and certificates, from files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rejoinder.clients.connection import Connection

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_OPTIONS = (
    ("token_file", "Bearer token for a service that asks for one."),
    ("ca_file", "PEM roots of its certificate; without: clear text."),
    ("cert_file", "PEM chain of your own, where it asks for one (mTLS)."),
    ("key_file", "PEM key of --cert-file."),
)


@dataclass(frozen=True)
class Caller:
    """Files, None where none is shown."""

    token_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def caller_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `caller`: --token-file and its like, or REJOINDER_TOKEN_FILE and its like."""

    @wraps(command)
    def with_caller(*arguments: Any, **options: Any) -> None:
        caller = Caller(**{name: options.pop(name) for name, _ in _OPTIONS})
        command(*arguments, caller=caller, **options)

    made: Callable[..., None] = with_caller
    for name, help in reversed(_OPTIONS):
        option = f"--{name.replace('_', '-')}"
        made = click.option(option, name, type=_FILE, envvar=f"REJOINDER_{name.upper()}", help=help)(made)
    return made


def connection(address: str, caller: Caller) -> Connection:
    """Raises a usage error for half a pair of certificate and key."""
    from rejoinder.clients.connection import Connection, Tls, token_in

    if (caller.cert_file is None) != (caller.key_file is None):
        raise click.UsageError("--cert-file and --key-file belong together")
    clear = caller.ca_file is None and caller.cert_file is None
    tls = None if clear else Tls(caller.ca_file, caller.cert_file, caller.key_file)
    return Connection(address, tls, token_in(caller.token_file))
