"""`rejoinder erase`: a user is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from rejoinder.cli.datafolder import DataFolder, data_option, ledger_option, tenant_option
from rejoinder.cli.output import json_option, print_json
from rejoinder.cli.supervisor import address_of


@click.command()
@click.argument("user")
@data_option
@ledger_option
@tenant_option
@json_option
def command(user: str, data: Path, address: str | None, tenant: str, as_json: bool) -> None:
    """Forget USER: everything of theirs accepted until now goes, in every store; answers with a ticket."""
    address = address_of(data, "ledger", address)
    if address:
        from rejoinder.clients.connection import Connection
        from rejoinder.clients.ledger import LedgerClient

        with LedgerClient(Connection(address)) as client:
            made = client.erase(user, tenant)
    else:
        with DataFolder(data) as opened:
            opened.project()
            made = opened.ledger.erase(tenant, user, lambda record: opened.log.append([record]).result())
            opened.project()
            opened.ledger.finish_erasures()
    if as_json:
        print_json({"ticket": made.ticket, "erased_at": made.erased_at, "raw_copy_ends_at": made.raw_copy_ends_at})
        return
    ends = datetime.fromtimestamp(made.raw_copy_ends_at, UTC).date() if made.raw_copy_ends_at else "–"
    click.echo(f"ticket {made.ticket}: taken out of the ledger; the log's raw copy ends {ends}")
    click.echo(f"rejoinder trace {made.ticket} says what stands where")
