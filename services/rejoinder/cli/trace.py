"""`rejoinder trace`: from one id to everything that made it and everything it made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from rejoinder.cli.caller import Caller, caller_options, connection
from rejoinder.cli.datafolder import DataFolder, data_option, ledger_option, tenant_option
from rejoinder.cli.output import json_option, print_json, print_table
from rejoinder.cli.supervisor import address_of

#: Ids of what a node came from that the table shows; --json has all that the ledger listed.
SOURCES = 8


@click.command()
@click.argument("name")
@data_option
@ledger_option
@caller_options
@tenant_option
@json_option
def command(name: str, data: Path, address: str | None, caller: Caller, tenant: str, as_json: bool) -> None:
    """NAME is an interaction, an event, a version, a round (`assist#3`) or an erasure ticket.

    Versions and the data sets they were trained on are told from the data folder, where it has them.
    """
    from rejoinder.cli.lineage import lineage
    from rejoinder.cli.looks import shown
    from rejoinder.runtime.looks import Seen

    nodes: Sequence[Any]
    address = address_of(data, "ledger", address)
    if address:
        from rejoinder.clients.ledger import LedgerClient

        with LedgerClient(connection(address, caller)) as client:
            nodes = client.trace(name, tenant)
    else:
        with DataFolder(data) as opened:
            opened.project()
            nodes = opened.ledger.trace(tenant, name)
    if (data / "log.db").exists():
        # What a service elsewhere answers it has recorded itself.
        shown(data, Seen("trace", tenant, [name]))
    nodes = lineage(data, tenant, nodes)
    if as_json:
        print_json({"nodes": [asdict(node) for node in nodes]})
        return
    rows = [
        (
            node.kind,
            node.id,
            node.state,
            datetime.fromtimestamp(node.at, UTC).isoformat(timespec="seconds") if node.at else None,
            ", ".join(f"{key}={value}" for key, value in _facts(node)),
        )
        for node in nodes
    ]
    print_table(f"Trace of {name}", ("kind", "id", "state", "at", "facts"), rows)


def _facts(node: Any) -> Iterator[tuple[str, str]]:
    """What a person reads of a node: its digest, its facts, then the first ids of what it came from."""
    if node.digest:
        yield "digest", node.digest
    yield from ((key, value) for key, value in node.facts.items() if key != "unlisted")
    if node.sources:
        more = len(node.sources[SOURCES:]) + int(node.facts.get("unlisted", 0))
        yield "from", " ".join([*node.sources[:SOURCES], *([f"and {more} more"] if more else [])])
