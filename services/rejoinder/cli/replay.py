"""`rejoinder replay`: the ledger rebuilt from the log must be the ledger."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from rejoinder.cli.datafolder import DataFolder, data_option
from rejoinder.cli.output import json_option, print_json, progress
from rejoinder.core.errors import DataLoss
from rejoinder.ledger.book import replay


@click.command()
@data_option
@json_option
def command(data: Path, as_json: bool) -> None:
    """Rebuild the ledger from the log in a temporary file and compare the digests."""
    with DataFolder(data) as opened, tempfile.TemporaryDirectory() as folder:
        with progress("projecting", None):
            opened.project()
            kept = opened.ledger.digest()
        with progress("rebuilding", None):
            rebuilt = replay(opened.log, Path(folder) / "ledger.db", opened.ledger.settings)
    if as_json:
        print_json({"ledger": kept, "rebuilt": rebuilt, "equal": kept == rebuilt})
    if kept != rebuilt:
        raise DataLoss("the ledger rebuilt from the log differs from the ledger", ledger=kept, rebuilt=rebuilt)
    if not as_json:
        click.echo(f"equal: {kept}")
