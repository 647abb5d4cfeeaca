"""`rejoinder satisfaction`: how satisfied people are, and how much of what they said was understood."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.datafolder import DataFolder, data_option, ledger_option, tenant_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import address_of

GROUPS = ("version", "arm", "reason", "extractor", "day", "source")


@click.command()
@data_option
@ledger_option
@tenant_option
@click.option("--by", type=click.Choice(GROUPS), help="One row for each; overall by default.")
@json_option
def command(data: Path, address: str | None, tenant: str, by: str | None, as_json: bool) -> None:
    """Satisfaction = mean over users of their share of SAT among SAT and DSAT. No reply is no label."""
    address = address_of(data, "ledger", address)
    if address:
        report = _from_service(address, tenant, by or "")
    else:
        with DataFolder(data) as opened:
            opened.project()
            report = overview(opened, tenant, by or "")
    print_json(report) if as_json else print_overview(report)


def overview(data: DataFolder, tenant: str, by: str) -> dict[str, Any]:
    joining = data.ledger.joining(tenant)
    return {
        "by": by,
        "rows": [asdict(row) for row in data.ledger.satisfaction(tenant, by)],
        "join_rate": joining.rate,
        "unlinked": dict(joining.unlinked),
    }


def _from_service(address: str, tenant: str, by: str) -> dict[str, Any]:
    from rejoinder.clients.connection import Connection
    from rejoinder.clients.ledger import LedgerClient

    with LedgerClient(Connection(address)) as client:
        found = client.satisfaction(by, tenant)
    return {
        "by": by,
        "rows": [asdict(row) for row in found.rows],
        "join_rate": found.join_rate,
        "unlinked": dict(found.unlinked),
    }


def print_overview(report: dict[str, Any]) -> None:
    columns = ("interactions", "replied", "sat", "dsat", "none", "users")
    rows = [
        (
            row["group"] or "all",
            *(row[name] for name in columns),
            f"{row['satisfaction']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" if row["users"] else None,
        )
        for row in report["rows"]
    ]
    title = f"Satisfaction by {report['by']}" if report["by"] else "Satisfaction"
    print_table(title, ("group", *columns, "satisfaction [95 %]"), rows)
    unlinked = ", ".join(f"{cause} {count}" for cause, count in report["unlinked"].items())
    click.echo(f"joined {report['join_rate']:.1%} of feedback" + (f"; unlinked: {unlinked}" if unlinked else ""))
