"""`rejoinder erase`: a user is forgotten, and looked for afterwards."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rejoinder.cli.datafolder import DataFolder, data_option, ledger_option, ledger_settings, tenant_option
from rejoinder.cli.ledger import process_settings, settings_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.replay import beside
from rejoinder.cli.supervisor import address_of
from rejoinder.core.clock import SystemClock
from rejoinder.core.errors import FailedPrecondition, NotFound
from rejoinder.ledger.settings import LedgerProcess

if TYPE_CHECKING:
    from rejoinder.clients.ledger import Erased
    from rejoinder.ledger.erasure.erase import Ticket


@click.command()
@click.argument("user")
@data_option
@ledger_option
@tenant_option
@click.option("--verify", is_flag=True, help="Look for USER, who was forgotten, in every store that can be reached.")
@settings_option
@json_option
def command(
    user: str, data: Path, address: str | None, tenant: str, verify: bool, settings: Path | None, as_json: bool
) -> None:
    """Forget USER: everything of theirs accepted until now goes, in every store; answers with a ticket.

    With --verify nobody is forgotten, but looked for: exit status 2 where something is left that should not be. Of a
    data folder, or with --settings of a ledger process, beside it.
    """
    if verify:
        _verify(tenant, user, process_settings(settings) or _process_of(data), as_json)
        return
    made: Erased | Ticket
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
    if as_json:
        print_json({"ticket": made.ticket, "erased_at": made.erased_at, "raw_copy_ends_at": made.raw_copy_ends_at})
        return
    click.echo(f"ticket {made.ticket}: forgotten; the log's raw copy ends {_day(made.raw_copy_ends_at)}")
    click.echo(f"rejoinder trace {made.ticket} says what stands where")


def _process_of(data: Path) -> LedgerProcess:
    """Of a data folder, to read beside whoever owns it: nothing is appended."""
    if not (data / "ledger.db").exists():
        raise NotFound(f"there is no ledger in {data}", path=data)
    return LedgerProcess.model_validate(ledger_settings(data, "127.0.0.1:1"))


def _verify(tenant: str, user: str, process: LedgerProcess, as_json: bool) -> None:
    from rejoinder.ledger.__main__ import reached
    from rejoinder.ledger.erasure.verify import left_of
    from rejoinder.ledger.stores.snapshot import SnapshotStore

    with beside(process) as standing:
        others = reached(process)
        if (folder := process.store.snapshots) is not None:
            others.append(SnapshotStore(standing.store, folder, standing.settings, process.store.snapshots_kept))
        found = left_of(standing.store, standing.settings, standing.log, others, tenant, user)
    now = SystemClock().now()
    amiss = [left for left in found if left.found and (left.ends_at is None or left.ends_at < now)]
    if as_json:
        print_json({"stores": [asdict(left) for left in found], "clean": not amiss})
    else:
        rows = [(left.store, left.found, _day(left.ends_at) if left.found else None) for left in found]
        print_table(f"Left of {user}", ("store", "records", "until"), rows)
    if amiss:
        raise FailedPrecondition(f"records are left in {', '.join(left.store for left in amiss)}")


def _day(moment: float | None) -> str:
    return "–" if moment is None else str(datetime.fromtimestamp(moment, UTC).date())
