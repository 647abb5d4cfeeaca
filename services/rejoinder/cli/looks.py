"""`rejoinder looks`: who was shown users' words; and how the commands that show them write it down."""

from __future__ import annotations

import getpass
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.caller import caller_options, connection
from rejoinder.cli.datafolder import LOOKS, data_option, erasure_key, ledger_option, tenant_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import address_of
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import Unavailable
from rejoinder.runtime.looks import Looks, Seen

#: Names that the table shows of what was seen, and digits of each.
NAMES, DIGITS = 3, 12


def os_user() -> str:
    """Who runs this command, by the system's own books and not by the environment."""
    try:
        import pwd
    except ImportError:
        return f"os:{getpass.getuser()}"
    number = os.getuid()
    try:
        return f"os:{pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"os:{number}"


def looks_of(folder: Path) -> Looks:
    """A data folder's record. Raises BadSettings for a key that cannot be read."""
    return Looks(folder / LOOKS, erasure_key(folder), "cli", SystemClock())


def shown(folder: Path, seen: Seen) -> None:
    """On disk on return, before anything is shown. Raises Unavailable, and then nothing is."""
    try:
        looks_of(folder).write(os_user(), seen)
    except Unavailable as error:
        raise Unavailable(f"{error.message}: {folder / LOOKS}") from None


@click.command()
@data_option
@ledger_option
@caller_options
@tenant_option
@click.option("--id", "name", default="", help="Only looks at this answer, or whatever else was shown.")
@click.option("--user", default="", help="Only looks at this user's words, and those that may have been.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="The newest so many.")
@json_option
def command(
    data: Path, address: str | None, caller: Any, tenant: str, name: str, user: str, limit: int, as_json: bool
) -> None:
    """Who was shown users' words: by console, ledger and command line, newest first. The words stand in no record.

    What was seen is named by digests under the deployment's key; --id and --user find it by its name.
    """
    address = address_of(data, "ledger", address)
    looks: Any
    if address:
        from rejoinder.clients.ledger import LedgerClient, LooksWanted

        with LedgerClient(connection(address, caller)) as client:
            looks = client.looks(LooksWanted(tenant, name, user, limit))
    else:
        # A folder that is not there has no record, and asking makes none.
        looks = looks_of(data).read(limit, tenant, name, user) if (data / LOOKS).exists() else []
    if as_json:
        print_json({"looks": [asdict(look) for look in looks]})
        return
    rows = [
        (
            datetime.fromtimestamp(look.at, UTC).isoformat(timespec="seconds"),
            look.principal,
            look.by,
            look.what,
            look.count,
            " ".join([*(each[:DIGITS] for each in look.ids[:NAMES]), *(["…"] if len(look.ids) > NAMES else [])]),
        )
        for look in looks
    ]
    print_table("Looks at users' words", ("at", "who", "told by", "what", "how many", "named"), rows)
